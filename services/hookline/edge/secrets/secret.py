"""A secret in memory, and which ones count at a moment. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hookline.core.validity import Validity

_EVER_SINCE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of one source."""

    name: str
    """What messages call it: its reference, with its id if it is stored."""
    value: bytes = field(repr=False)
    validity: Validity
    since: datetime = _EVER_SINCE
    """The newest is tried first. Those of which nothing is known come last, in their order."""


def live(secrets: Iterable[Secret], now: datetime) -> tuple[Secret, ...]:
    """Those that count now, the newest first; what is there twice counts once."""
    found: dict[bytes, Secret] = {}
    for secret in sorted(secrets, key=lambda secret: secret.since, reverse=True):
        if secret.validity.state(now) == "live":
            found.setdefault(secret.value, secret)
    return tuple(found.values())


def values(secrets: Iterable[Secret]) -> tuple[bytes, ...]:
    """What verifies."""
    return tuple(secret.value for secret in secrets)
