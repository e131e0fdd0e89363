"""A Django application whose one model has a field of every type."""
