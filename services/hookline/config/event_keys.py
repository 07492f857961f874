"""`[schemes.NAME.event]`: how a provider's events are told apart, named and ordered."""

from typing import Literal, Self

from pydantic import model_validator

from hookline.config.section import Section
from hookline.config.selector import JoinedPlaces


class EventKeys(Section):
    """How a provider's events are told apart, named and ordered.

    Each is a list of alternatives, and the first that is wholly there counts.
    """

    dedup: tuple[JoinedPlaces, ...] = ()
    """What makes two webhooks the same event. If none is there the body's hash does, and the event's type is
    `unparsable`."""
    type: tuple[JoinedPlaces, ...] = ()
    """The parts of an alternative are joined by dots."""
    ordering_key: tuple[JoinedPlaces, ...] = ()
    """Events of one key may be delivered in order. If none is there the event has no key."""
    repeat: Literal["duplicate", "revision"] = "duplicate"
    """What the same dedup key with another body is: the same event, or its next revision. Where the key isn't covered
    by the signature it must be a revision, or an attacker could hide an event behind another's key."""

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        for alternatives in (self.dedup, self.type, self.ordering_key):
            for place in (place for places in alternatives for place in places):
                if place.kind == "field":
                    raise ValueError(f'"{place}" is only known while the signature is checked')
        for place in (place for places in (*self.type, *self.ordering_key) for place in places):
            if place.kind == "body":
                raise ValueError('"body" is a hash: it tells events apart, and neither names nor orders them')
        return self
