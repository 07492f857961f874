"""An event in the consumer's hands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from hookline.client.settlement import PendingSettlement
from hookline.v1 import delivery_pb2 as pb


class Delivery:
    """One event, leased to this consumer until it is settled or its ack deadline passes."""

    __slots__ = ("_message", "_settle", "_settlement", "context", "span")

    def __init__(
        self, message: pb.Delivery, settle: "Callable[[Delivery, pb.Settlement], PendingSettlement]"
    ) -> None:
        self._message = message
        self._settle = settle
        self._settlement: PendingSettlement | None = None
        self.span: Span | None = None
        """The span `process {subscription}`, if the event is traced; it ends with the settlement."""
        self.context: Context | None = None
        """The context to do the work in. It is current in the body of `async for`."""

    def __repr__(self) -> str:
        # Nothing of the payload, and no key: these go to logs.
        return f"<Delivery {self.source} {self.type} {self.event_id} attempt={self.attempt}>"

    @property
    def event_id(self) -> str:
        """The event's id, a UUID: the same webhook always has the same."""
        return self._message.event_id

    @property
    def source(self) -> str:
        """Name of the source that received it."""
        return self._message.source

    @property
    def type(self) -> str:
        """The provider's name for what happened; "unparsable" if the body could not be read."""
        return self._message.type

    @property
    def ordering_key(self) -> str:
        """Events with the same key belong to one subject; "" if the source has none."""
        return self._message.ordering_key

    @property
    def received_at(self) -> datetime:
        """When the edge received the webhook."""
        return self._message.received_at.ToDatetime(tzinfo=UTC)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The provider's headers: lower-case name and value, in order of arrival."""
        return [(header.name, header.value) for header in self._message.headers]

    @property
    def body(self) -> bytes:
        """The request body, byte for byte."""
        return self._message.body

    def json(self) -> Any:
        """The body, parsed.

        Raises:
            ValueError: It isn't JSON. Events of type "unparsable" usually aren't.
        """
        return json.loads(self.body)

    @property
    def attempt(self) -> int:
        """1 the first time that the event is handed out by the relay."""
        return self._message.attempt

    @property
    def is_revision(self) -> bool:
        """Whether an earlier event of the same source and key had another body."""
        return self._message.revision

    @property
    def traceparent(self) -> str:
        """The W3C trace context to continue."""
        return self._message.traceparent

    def ack(self) -> PendingSettlement:
        """Say that the event was processed: it is never delivered to this subscription again.

        Await the answer to wait until that is durable; go on without to be fast. The first verdict stands.
        """
        if self._settlement is None:
            self._settlement = self._settle(self, pb.Settlement(token=self._message.token, ack=pb.Ack()))
        return self._settlement
