"""Where runs are computed."""
