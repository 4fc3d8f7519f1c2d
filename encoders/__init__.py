"""The zoo: one file an encoder or a family of encoders."""
