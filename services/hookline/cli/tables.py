"""Where tables are printed."""
# ruff: noqa: PLC0415  (an edge starts with this package, and prints none)

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 200
"""Columns where nobody reads along: a row must stay one line for `grep` and the like."""


def console() -> "Console":
    """Standard output, as wide as it is; a pipe or a file is wide."""
    from rich.console import Console

    screen = Console()
    return screen if screen.is_terminal else Console(width=_WIDE)
