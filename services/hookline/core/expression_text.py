"""What the text of a CEL expression says before it is evaluated: what it looks at, and how often."""

import re
from dataclasses import dataclass

_PART = re.compile(
    r"""
      //[^\n]*
    | [bB]?[rR](?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"]*" | '[^']*' )
    | [bB]?(?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3} | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<part> [A-Za-z_]\w* | \d[\w.]* | \S )
    """,
    re.VERBOSE | re.DOTALL,
)
_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_LARGE = frozenset({"body", "headers"})
"""Variables of any size."""


@dataclass(slots=True)
class _Parentheses:
    """An open pair of parentheses, and what was seen in it so far."""

    loop: str
    """The macro that it belongs to, or ""."""
    variable: str = ""
    """The macro's."""
    looks_outside: bool = False
    """Each round looks at something else than its own item."""
    exponent: int = 1


class ExpressionText:
    """The text of an expression that the CEL library can read.

    Its only loops are macros, such as `body.items.exists(item, item.price > 5)`.
    """

    def __init__(self, text: str) -> None:
        # Literals and comments become "", which nothing below looks for.
        self._parts = [match["part"] or "" for match in _PART.finditer(text)]
        self.bound: set[str] = set()
        """Names of the macros' own variables."""
        self.exponent = self._read_loops()
        """The time that it takes grows with this power of the size of what it looks at."""

    def body_keys(self) -> set[str] | None:
        """Which keys of `body` it looks at; None: at all of it."""
        keys = set()
        for place, part in enumerate(self._parts):
            if part == "body" and self._at(place - 1) != ".":
                if self._at(place + 1) != "." or self._at(place + 3) == "(":
                    return None
                keys.add(self._at(place + 2))
        return keys

    def _at(self, place: int) -> str:
        return self._parts[place] if 0 <= place < len(self._parts) else ""

    def _read_loops(self) -> int:
        open_ = [_Parentheses("")]
        for place, part in enumerate(self._parts):
            before = self._at(place - 1)
            if part == "(":
                open_.append(_Parentheses(before if before in _LOOPS else ""))
            elif part == ")":
                exponent = _exponent(open_.pop())
                open_[-1].exponent = max(open_[-1].exponent, exponent)
            elif before == "(" and open_[-1].loop:
                open_[-1].variable = part
                self.bound.add(part)
            elif before != ".":
                _look(part, open_)
        return open_[0].exponent


def _exponent(closed: _Parentheses) -> int:
    """Of the time that a pair of parentheses takes, with the loop that it may be the body of."""
    exponent = closed.exponent + closed.looks_outside
    # These build a list, and the CEL library copies it with each item that is added.
    if closed.loop == "filter":
        exponent = max(exponent, 2)
    if closed.loop == "map":
        exponent = max(exponent, 2 + closed.looks_outside)
    return exponent


def _look(name: str, open_: list[_Parentheses]) -> None:
    """Note that something is looked at, in every loop between here and where it comes from."""
    loops = [parentheses for parentheses in open_ if parentheses.loop]
    names = [loop.variable for loop in loops]
    if name in names:
        inside = len(names) - 1 - names[::-1].index(name)
    elif name in _LARGE:
        inside = -1
    else:
        return
    for loop in loops[inside + 1 :]:
        loop.looks_outside = True
