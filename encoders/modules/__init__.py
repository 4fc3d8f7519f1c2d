"""Layers and features that several encoders are made of."""
