"""The data sets: one file a benchmark."""
