"""An event in the consumer's hands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from opentelemetry.context import Context
from opentelemetry.trace import Span

from hookline.client.settlement import PendingSettlement
from hookline.v1 import delivery_pb2 as pb

_REASON_LENGTH = 1000
"""Characters of a reason that are kept."""
_LONGEST_LEASE = timedelta(hours=12)
_ACK = pb.Ack()  # one for all: it is copied into the settlement

EventKey = tuple[str, str]
"""Event id and replay: two deliveries with the same are the same work, whatever their tokens."""


class Delivery:
    """One event, leased to this consumer until it is settled or its ack deadline passes.

    Settle it with `ack`, `retry`, `reject` or `release`. The first of them stands; later ones change nothing and
    answer what the first did. None has to be awaited: do it to know that the verdict is durable.

    Args:
        message: As it came.
        settle: Takes a verdict on its way.
        subscription: Name of the subscription that it came through.
    """

    __slots__ = (
        "_message",
        "_settle",
        "_settlement",
        "_token",
        "context",
        "error_type",
        "key",
        "leased_until",
        "span",
        "subscription",
    )

    def __init__(
        self,
        message: pb.Delivery,
        settle: "Callable[[Delivery, pb.Settlement], PendingSettlement]",
        subscription: str,
    ) -> None:
        self._message = message
        self._token = message.token
        self._settle = settle
        self._settlement: PendingSettlement | None = None
        self.subscription = subscription
        """Name of the subscription that it came through."""
        self.key: EventKey = (message.event_id, message.replay)
        """What a redelivery has in common with this delivery."""
        self.leased_until = 0.0
        """When the lease ends, by the event loop's clock, as far as this consumer knows."""
        self.span: Span | None = None
        """The span `process {subscription}`, if the event is traced; it ends with the settlement."""
        self.context: Context | None = None
        """The context to do the work in. It is current in the body of `async for`, and in a handler."""
        self.error_type = ""
        """Name of the type of what the code that worked on it raised, if that was unforeseen; for the span."""

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
        """1 the first time; one more after each failed attempt."""
        return self._message.attempt

    @property
    def is_revision(self) -> bool:
        """Whether an earlier event of the same source and key had another body."""
        return self._message.revision

    @property
    def replay(self) -> str:
        """Name of the replay that asked for this delivery, "" in the normal course."""
        return self._message.replay

    @property
    def traceparent(self) -> str:
        """The W3C trace context to continue."""
        return self._message.traceparent

    @property
    def tracestate(self) -> str:
        """What goes with `traceparent`; often ""."""
        return self._message.tracestate

    @property
    def is_settled(self) -> bool:
        """Whether a verdict was given, confirmed or not."""
        return self._settlement is not None

    def ack(self) -> PendingSettlement:
        """Say that the event was processed: it is never delivered to this subscription again."""
        return self._give(pb.Settlement(token=self._token, ack=_ACK))

    def retry(self, delay: timedelta | None = None, reason: str = "") -> PendingSettlement:
        """Say that this attempt failed and another may succeed.

        Args:
            delay: How long to wait at least; None leaves it to the subscription's retry policy.
            reason: Why, for people. It is kept with the attempt, so it must hold no personal data.

        Raises:
            ValueError: The delay is negative.
        """
        verdict = pb.Retry(reason=reason[:_REASON_LENGTH])
        if delay is not None:
            if delay < timedelta(0):
                raise ValueError(f"delay is {delay}; give 0 or more, or None for the retry policy's")
            verdict.delay.CopyFrom(_duration(delay))
        return self._give(pb.Settlement(token=self._token, retry=verdict))

    def reject(self, reason: str = "") -> PendingSettlement:
        """Say that no attempt can succeed: the event goes to the dead letters.

        Args:
            reason: Why, for people. It is kept with the dead letter, so it must hold no personal data.
        """
        verdict = pb.Reject(reason=reason[:_REASON_LENGTH])
        return self._give(pb.Settlement(token=self._token, reject=verdict))

    def release(self) -> PendingSettlement:
        """Give the event back unprocessed, to whoever is next. It costs no attempt."""
        return self._give(pb.Settlement(token=self._token, release=pb.Release()))

    def extend(self, lease: timedelta | None = None) -> PendingSettlement:
        """Move the ack deadline; may be done often, until the delivery is settled.

        Args:
            lease: Counted from now; None means the subscription's ack deadline.

        Raises:
            ValueError: The lease isn't above 0, or is more than 12 hours.
        """
        if self._settlement is not None:
            return self._settlement
        verdict = pb.Extend()
        if lease is not None:
            if not timedelta(0) < lease <= _LONGEST_LEASE:
                raise ValueError(f"lease is {lease}; give more than 0 and at most 12 hours")
            verdict.lease.CopyFrom(_duration(lease))
        return self._settle(self, pb.Settlement(token=self._token, extend=verdict))

    def renew(self, again: pb.Delivery, leased_until: float) -> None:
        """The relay has handed the event out again while it is here: this hand-over is the one that counts."""
        self._token = again.token
        self.leased_until = leased_until

    def _give(self, settlement: pb.Settlement) -> PendingSettlement:
        if self._settlement is None:
            self._settlement = self._settle(self, settlement)
        return self._settlement


def _duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration
