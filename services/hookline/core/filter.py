"""Which events a subscription wants."""

import re
from collections.abc import Sequence
from fnmatch import translate


class Filter:
    """Source and type globs, as `fnmatch` knows them; `*` matches everything.

    There are few pairs of source and type and many events, so verdicts are remembered, up to a bound: types
    come from providers and must not fill the memory.
    """

    _REMEMBERED = 4096

    def __init__(self, *, sources: Sequence[str], types: Sequence[str]) -> None:
        self._sources = re.compile("|".join(translate(glob) for glob in sources))
        self._types = re.compile("|".join(translate(glob) for glob in types))
        self._verdicts: dict[tuple[str, str], bool] = {}

    def matches(self, source: str, type_: str) -> bool:
        """Whether the subscription wants events of this source and type."""
        verdict = self._verdicts.get((source, type_))
        if verdict is None:
            verdict = bool(self._sources.match(source) and self._types.match(type_))
            if len(self._verdicts) < self._REMEMBERED:
                self._verdicts[source, type_] = verdict
        return verdict
