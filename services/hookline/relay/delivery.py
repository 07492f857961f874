"""One event on its way to one subscription, while this relay is responsible for it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from hookline.core.turns import Key, Place
from hookline.model import LoggedEvent

if TYPE_CHECKING:
    from hookline.relay.holder import Holder
    from hookline.relay.ownership import OwnedShard


_NEVER = datetime.min.replace(tzinfo=UTC)
_TRACE_ID = slice(3, 35)
"""Where it is in a traceparent."""


@dataclass(slots=True, eq=False)
class Delivery:
    """It waits (no holder), or it is out (leased to a holder until its deadline), or it is settled."""

    event: LoggedEvent
    shard: "OwnedShard"
    replay: int = 0
    """The replay that asked for it; 0 is the normal course."""
    key: Key | None = None
    """What it waits its turn in; None without order."""
    has_row: bool = False
    """It was in trouble before: the database has a row of it."""
    attempt: int = 0
    """Attempts that failed, and the one under way."""
    first_at: datetime | None = None
    """When it was first handed out."""
    failed_before: bool = False
    """Somebody wrote down why it is in trouble, even if no attempt counts any more: a dead letter was redriven."""
    portion: int = 0
    """A suspect of killing consumers: the most that it is handed out with. 0: none."""
    holder: "Holder | None" = None
    """Whose window it counts against."""
    hand_over: int = 0
    """Names the hand-over under way, or the last one."""
    handed_at: datetime = _NEVER
    """When it was handed out."""
    consumer: str = ""
    """To whom: the consumer's name for itself."""
    deadline: float = 0.0
    """Loop time at which the lease ends, while it is out."""
    is_ready: bool = False
    """It waits for nothing but a window."""
    waits_turn: bool = False
    """It has a key, and another delivery of that key comes first."""
    settled: bool = False
    """A verdict that ends this hand-over was given; nothing else counts any more."""
    span: Span | None = field(default=None, repr=False)
    """The span of the hand-over under way, if the event is traced."""
    traceparent: str = ""
    """The context that the consumer continues: the hand-over's span, or "" for what is stored with the event."""
    tracestate: str = ""
    """What goes with `traceparent`."""

    @property
    def place(self) -> Place:
        """Where it stands in the order of its key; names it within its subscription."""
        return Place(self.event.seq, self.replay)

    @property
    def size(self) -> int:
        """Bytes that it takes of a window."""
        return len(self.event.body)

    @property
    def has_own_trace(self) -> bool:
        """Whether the hand-over is in another trace than the event."""
        return bool(self.traceparent) and self.traceparent[_TRACE_ID] != self.event.traceparent[_TRACE_ID]
