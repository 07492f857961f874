"""The nouns that cross module borders: an event on its way in, and the same event read back from the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, NewType
from uuid import UUID

SourceName = NewType("SourceName", str)
SubscriptionName = NewType("SubscriptionName", str)
Shard = NewType("Shard", int)
Seq = NewType("Seq", int)

UNPARSABLE = "unparsable"
"""Type of an event whose body is genuine but can't be read: refusing it would lose it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an event is, computed from the webhook and never drawn."""

    shard: Shard
    event_id: bytes
    """The 16 bytes of a UUID."""
    lineage: bytes
    """Shared by all revisions of one key: the lowest id that any of them can have. The id itself where the source
    has no revisions."""


class NewEvent(NamedTuple):
    """One verified webhook, ready to be committed. Fields in the order of the ingest statement.

    A tuple, as is `LoggedEvent`: one is made for every webhook, and a frozen dataclass takes four times as long.
    """

    shard: Shard
    event_id: UUID
    lineage: UUID
    source: SourceName
    type: str
    ordering_key: str
    received_at: datetime
    traceparent: str
    tracestate: str
    body_sha256: bytes
    headers: str
    """JSON: a list of [name, value] pairs in order of arrival."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is committed and new."""

    event_id: UUID
    seq: Seq
    revision: bool
    """An earlier event of the same lineage has another body."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The event was committed before; nothing was written."""

    event_id: UUID


Outcome = Accepted | Duplicate


class LoggedEvent(NamedTuple):
    """One row of the outbox. Fields in the order of the read statements."""

    event_id: UUID
    seq: Seq
    received_at: datetime
    shard: Shard
    revision: bool
    source: SourceName
    type: str
    ordering_key: str
    traceparent: str
    tracestate: str
    headers: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CursorState:
    """How far one subscription has come in one shard."""

    position: Seq
    """Everything at or below is settled, except `pending`."""
    pending: tuple[Seq, ...]
    """Below `position` and not settled, in ascending order."""


@dataclass(frozen=True, slots=True)
class OwnedCursor:
    """A cursor under this relay's lease."""

    shard: Shard
    epoch: int
    state: CursorState
