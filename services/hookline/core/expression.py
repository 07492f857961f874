"""A subscription's condition: a CEL expression over one event (https://cel.dev)."""

import re
from typing import TYPE_CHECKING, Any

from hookline.core import document
from hookline.core.expression_text import ExpressionText
from hookline.model import LoggedEvent

if TYPE_CHECKING:
    import cel

VARIABLES = ("body", "headers", "ordering_key", "source", "type")
"""What an expression can ask about."""
LONGEST = 4096
"""Characters. The CEL library recurses, and a far longer text could end the process."""
_TYPES = frozenset(["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"])
_CONVERSIONS = frozenset(["bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"])
_QUESTIONS = frozenset(["contains", "endsWith", "matches", "size", "startsWith"])
_PARTS_OF_A_TIME = frozenset(
    f"get{part}"
    for part in (
        "Date",
        "DayOfMonth",
        "DayOfWeek",
        "DayOfYear",
        "FullYear",
        "Hours",
        "Milliseconds",
        "Minutes",
    )
) | {"getMonth", "getSeconds"}
_FUNCTIONS = _CONVERSIONS | _QUESTIONS | _PARTS_OF_A_TIME
_MOST_WORK = 10**8
"""Bytes that an expression may have to look at: a second or so at the worst, in which nothing else can happen."""
_VALUE_BYTES = 100
"""Looking at a value, which the CEL library copies, takes as long as looking at so many bytes of text."""
_PATTERN_VALUES = 100
"""A regular expression is compiled whenever it is asked: as long as looking at so many values."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLACE = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<what>[^\n]*)")


class Expression:
    """A condition over `source`, `type`, `ordering_key`, `headers` and `body`.

    `headers` maps each name, in lower case, to its first value. `body` is the parsed JSON, null if it isn't JSON.
    Asking for a key that isn't there, or comparing what can't be compared, is an error and not false. `size` of a text
    counts its bytes in UTF-8, which is the library's way.

    Raises:
        ValueError: The text isn't such an expression; says where and why.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST or "\0" in text:
            raise ValueError(f"an expression has at most {LONGEST} characters, and no NUL")
        # Here, because its command-line tool comes along: a third of a second and 30 MiB, for those who need it.
        import cel  # noqa: PLC0415

        try:
            program = cel.compile(text)
        except ValueError as error:
            raise _explained(str(error)) from None
        read = ExpressionText(text)
        _check_names(program, read)
        # CEL itself refuses an answer that isn't a bool then, before a large one becomes Python's.
        self._program = cel.compile(f"({text}\n) ? true : false")
        used = set(program.variables())
        self._texts = [name for name in ("source", "type", "ordering_key") if name in used]
        self._uses_headers = "headers" in used
        self._uses_body = "body" in used
        self._body_keys = read.body_keys()
        self._exponent = read.exponent
        self._value_bytes = _VALUE_BYTES * (_PATTERN_VALUES if "matches" in program.functions() else 1)

    def holds(self, event: LoggedEvent) -> bool:
        """Whether the event meets the condition.

        Raises:
            Exception: It can't be said: what is asked for isn't there, has another type, or is too much to look at.
        """
        variables: dict[str, Any] = {name: getattr(event, name) for name in self._texts}
        values = size = 0
        if self._uses_headers:
            pairs = document.read(event.headers.encode())
            # The first of several wins.
            variables["headers"] = {name.lower(): value for name, value in reversed(pairs.value)}
            values, size = values + pairs.values, size + len(event.headers)
        if self._uses_body:
            body = document.read(event.body, keys=self._body_keys)
            variables["body"] = body.value
            values, size = values + body.values, size + len(event.body)
        rounds = values ** (self._exponent - 1)
        if rounds * (values * self._value_bytes + size) > _MOST_WORK:
            raise document.TooMuch("too large for what the expression does with it")
        return bool(self._program.execute(variables))


def _explained(message: str) -> ValueError:
    """What the CEL library says about a text that it can't read, without the list of all that it could have read."""
    place = _PLACE.search(message)
    if place is None:
        return ValueError("isn't a CEL expression")
    what = place["what"].partition(" expecting {")[0].removeprefix("Syntax error: ")
    what = what.replace("mismatched input '<EOF>'", "it ends too early").replace("'<EOF>'", "the end")
    return ValueError(f"line {place['line']}, column {place['column']}: {what}")


def _check_names(program: "cel.Program", read: ExpressionText) -> None:
    """Refuse names that nothing has: with each event the CEL library would find that out again."""
    for name in program.variables():
        if name not in VARIABLES and name not in _TYPES and name not in read.bound:
            raise ValueError(f"there is no variable {name!r}; there are {', '.join(VARIABLES)}")
    for name in program.functions():
        if _NAME.fullmatch(name) and name not in _FUNCTIONS:
            raise ValueError(f"there is no function {name!r}; there are {', '.join(sorted(_FUNCTIONS))}")
