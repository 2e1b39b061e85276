"""Changes: what was written since a time."""
