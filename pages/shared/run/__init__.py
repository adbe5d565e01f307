"""A run, what is computed of it, and where that is kept."""
