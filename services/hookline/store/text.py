"""Consumers' words, as Postgres can store them."""

_LONGEST = 1000


def storable(text: str) -> str:
    """The text without NUL, and not without end."""
    return text[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}")
