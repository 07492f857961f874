"""How a verified webhook is told apart, named and ordered."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Final, NamedTuple

from hookline.config.event_keys import EventKeys
from hookline.config.selector import Selector
from hookline.core.identity import join
from hookline.edge.schemes.places import Context, reader


class Envelope(NamedTuple):
    """What Hookline needs to know of a webhook; nothing else of it is read."""

    type: str
    dedup_key: tuple[str, ...]
    ordering_key: str
    """"" where the source has none."""


class KeyReader:
    """Reads the keys that a scheme declares."""

    def __init__(self, declared: EventKeys) -> None:
        self._dedup = _first(declared.dedup)
        self._type = _first(declared.type)
        self._ordering = _first(declared.ordering_key)

    def read(self, context: Context) -> Envelope | None:
        """Find the keys; None if neither a dedup key nor a type is to be found where they were declared."""
        dedup = self._dedup(context)
        type_ = self._type(context)
        if dedup is None or type_ is None:
            return None
        ordering = self._ordering(context)
        return Envelope(".".join(type_), dedup, "" if ordering is None else _short(join(ordering)))


_LONGEST: Final = 1024
"""Bytes of an ordering key: an entry of an index that it is in (`deliveries_key`) may have 2,704."""


def _short(key: str) -> str:
    if len(key) <= _LONGEST and key.isascii():
        return key
    text = key.encode()
    return key if len(text) <= _LONGEST else f"sha256:{sha256(text).hexdigest()}"


Texts = tuple[str, ...]


def _first(declared: Sequence[Sequence[Selector]]) -> Callable[[Context], Texts | None]:
    """How to read the first alternative that is wholly there."""
    alternatives = [_all(places) for places in declared]
    if len(alternatives) == 1:
        return alternatives[0]

    def read(context: Context) -> Texts | None:
        for alternative in alternatives:
            texts = alternative(context)
            if texts is not None:
                return texts
        return None

    return read


def _all(places: Sequence[Selector]) -> Callable[[Context], Texts | None]:
    """How to read one alternative; None unless it is wholly there."""
    if all(place.kind == "json" for place in places):
        # Twice the last one, so that it is a tuple also of one.
        pick = itemgetter(*(place.name for place in places), places[-1].name)

        def read_json(context: Context) -> Texts | None:
            try:
                texts: Texts = pick(context.json)[:-1]
            except KeyError:
                return None
            return texts

        return read_json
    readers = [reader(place) for place in places]

    def read(context: Context) -> Texts | None:
        found = []
        for one in readers:
            text = one(context)
            if text is None:
                return None
            found.append(text)
        return tuple(found)

    return read
