"""Watch the shape of bodies, and judge them by JSON Schemas."""
