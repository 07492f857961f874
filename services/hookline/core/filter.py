"""Which events a subscription wants."""

import re
from collections.abc import Sequence
from fnmatch import translate

from hookline.core.expression import Expression
from hookline.model import LoggedEvent


class Filter:
    """Source and type globs, as `fnmatch` knows them (`*` matches everything), and a condition.

    There are few pairs of source and type and many events, so the globs' verdicts are remembered, up to a bound:
    types come from providers and must not fill the memory.

    Raises:
        ValueError: The expression can't be used; says where and why.
    """

    _REMEMBERED = 4096

    def __init__(self, *, sources: Sequence[str], types: Sequence[str], expression: str = "") -> None:
        self._sources = re.compile("|".join(translate(glob) for glob in sources))
        self._types = re.compile("|".join(translate(glob) for glob in types))
        self._expression = Expression(expression) if expression else None
        self._verdicts: dict[tuple[str, str], bool] = {}
        self.failures = 0
        """Events for which the expression couldn't say whether they are wanted. They are delivered. Whoever counts them
        may set this back to 0."""

    def matches(self, event: LoggedEvent) -> bool:
        """Whether the subscription wants the event."""
        key = (event.source, event.type)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = bool(self._sources.match(event.source) and self._types.match(event.type))
            if len(self._verdicts) < self._REMEMBERED:
                self._verdicts[key] = verdict
        if verdict and self._expression is not None:
            return self._meets(self._expression, event)
        return verdict

    def _meets(self, expression: Expression, event: LoggedEvent) -> bool:
        try:
            return expression.holds(event)
        except Exception:  # noqa: BLE001  (whatever it is: an event too many can be handled, a lost one can't)
            self.failures += 1
            return True
