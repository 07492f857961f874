"""What a relay lists, page after page."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
_PAGE = 1000
"""The most that a relay puts into one page."""


def collect(
    ask: Callable[[int, str], tuple[Sequence[Item], str]], *, limit: int | None = None
) -> tuple[list[Item], bool]:
    """Read pages until there are no more, or as many as are wanted.

    Args:
        ask: Asks for a page of so many items, by the token of the page before; answers them, and the next one's token.
        limit: How many are wanted; None is all.

    Returns:
        The items, and whether there are more.
    """
    found: list[Item] = []
    token = ""
    while True:
        items, token = ask(_PAGE if limit is None else min(limit - len(found), _PAGE), token)
        found += items
        if not token or (limit is not None and len(found) >= limit):
            return found, bool(token)
