"""What bodies look like: paths and types, never values."""
