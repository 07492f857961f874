"""Suspects aren't guilty: how what a lost consumer held is handed out again."""

_FEWER = 8
"""By how much a portion is smaller than the one before it."""


def next_portion(held: int) -> int:
    """In portions of how many events to hand out again what a consumer held when it died.

    One of them may have killed it. A portion goes to a consumer that holds nothing else, so each death makes the
    circle of suspects eight times smaller: of 10,000 events the killer is alone after five.
    """
    return max(1, -(-held // _FEWER)) if held > 1 else 1
