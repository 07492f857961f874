"""One event on its way to one subscription, while this relay is responsible for it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from hookline.model import LoggedEvent

if TYPE_CHECKING:
    from hookline.relay.ownership import OwnedShard
    from hookline.relay.stream import Stream


@dataclass(slots=True, eq=False)
class Delivery:
    """It waits (no stream), or it is out (leased to a stream until its deadline), or it is settled."""

    event: LoggedEvent
    shard: "OwnedShard"
    stream: "Stream | None" = None
    """Whose window it counts against."""
    attempt: int = 0
    """How often it was handed out."""
    deadline: float = 0.0
    """Loop time at which the lease ends, while it is out."""
    settled: bool = False
    span: Span | None = field(default=None, repr=False)
    """The span of the hand-over under way, if the event is traced."""
    traceparent: str = ""
    """The context that the consumer continues: the hand-over's span, or "" for what is stored with the event."""

    @property
    def size(self) -> int:
        """Bytes that it takes of a window."""
        return len(self.event.body)
