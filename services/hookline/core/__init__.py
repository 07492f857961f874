"""Decisions without I/O: pure functions and small structures that the async code carries out."""
