"""Pages and tables computed from runs."""
