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
    portion: int = 0
    """A suspect of killing consumers: the most that it is handed out with. 0: none."""
    holder: "Holder | None" = None
    """Whose window it counts against."""
    hand_over: int = 0
    """Names the hand-over under way, or the last one."""
    handed_at: datetime = _NEVER
    """When it was handed out."""
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

    @property
    def place(self) -> Place:
        """Where it stands in the order of its key; names it within its subscription."""
        return Place(self.event.seq, self.replay)

    @property
    def size(self) -> int:
        """Bytes that it takes of a window."""
        return len(self.event.body)
