"""Events as messages, and the filters that pick them."""

import re
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from hookline.admin import fields
from hookline.admin.event_history import DeliveryHistory, State
from hookline.rpc import invalid
from hookline.store.events import Event, EventFilter, LedgerEntry
from hookline.store.timeline import PastAttempt
from hookline.telemetry.context import decode
from hookline.v1 import event_pb2 as pb

_HEX = "[0-9a-fA-F]"
_NAME = re.compile(
    f"events/(?P<id>{_HEX}{{32}}|{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}})"
)
_STATES: dict[State, pb.EventDeliveryState.ValueType] = {
    "pending": pb.EVENT_DELIVERY_STATE_PENDING,
    "waiting": pb.EVENT_DELIVERY_STATE_WAITING,
    "blocked": pb.EVENT_DELIVERY_STATE_BLOCKED,
    "acked": pb.EVENT_DELIVERY_STATE_ACKED,
    "dead": pb.EVENT_DELIVERY_STATE_DEAD,
    "deleted": pb.EVENT_DELIVERY_STATE_DELETED,
    "filtered": pb.EVENT_DELIVERY_STATE_FILTERED,
    "passed": pb.EVENT_DELIVERY_STATE_PASSED,
}


def read_event_name(path: str, name: str) -> UUID:
    """The id in an event's name, with dashes or without.

    Raises:
        RpcError: It isn't the name of an event.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise invalid(
            "INVALID_EVENT_NAME",
            f'{path}: {fields.shown(name)} isn\'t the name of an event, which reads "events/{{id}}" with a UUID: '
            "32 hexadecimal digits, with dashes or without",
        )
    return UUID(found["id"])


def event_name(event_id: UUID) -> str:
    """The name of an event."""
    return f"events/{event_id}"


def read_filter(path: str, message: pb.EventFilter) -> EventFilter:
    """The filter that a message describes.

    Raises:
        RpcError: It describes none; says which field is wrong and how.
    """
    nothing = EventFilter()
    after, before = nothing.received_after, nothing.received_before
    if message.HasField("start_time"):
        after = fields.timestamp(f"{path}.start_time", message.start_time)
    if message.HasField("end_time"):
        before = fields.timestamp(f"{path}.end_time", message.end_time)
    if after >= before:
        raise fields.wrong(f"{path}.start_time", "isn't before `end_time`: nothing lies between them")
    return EventFilter(
        source=fields.text(f"{path}.source", message.source),
        type=fields.text(f"{path}.type", message.type),
        received_after=after,
        received_before=before,
    )


def write_event(event: Event) -> pb.Event:
    """The message that describes an event."""
    return pb.Event(
        name=event_name(event.id),
        id=str(event.id),
        source=event.source,
        type=event.type,
        receive_time=_time(event.received_at),
        size=event.size,
        shard=event.shard,
        seq=event.seq,
        revision=event.revision,
        trace=_trace(event.traceparent),
    )


def write_entry(entry: LedgerEntry) -> pb.Event:
    """The same with what the ledger knows besides."""
    message = write_event(entry.event)
    if entry.committed_at is not None:
        message.commit_time.FromDatetime(entry.committed_at)
    return message


def write_delivery(delivery: DeliveryHistory, event: Event) -> pb.EventDelivery:
    """The message that describes an event on its way to one subscription."""
    message = pb.EventDelivery(
        subscription=delivery.subscription,
        replay=f"replays/{delivery.replay}" if delivery.replay else "",
        state=_STATES[delivery.state],
        attempts=[_write_attempt(attempt, event) for attempt in delivery.attempts],
    )
    row = delivery.row
    if row is not None:
        message.reason = row.reason
        message.state_time.FromDatetime(row.changed_at)
        if row.state == "waiting":
            message.due_time.FromDatetime(row.due_at)
    return message


def _write_attempt(attempt: PastAttempt, event: Event) -> pb.EventAttempt:
    return pb.EventAttempt(
        number=attempt.number,
        outcome=attempt.outcome,
        reason=attempt.reason,
        consumer=attempt.consumer,
        start_time=_time(attempt.started_at) if attempt.started_at is not None else None,
        end_time=_time(attempt.ended_at),
        # Nobody tried anything where somebody gave it up.
        trace=_trace(attempt.traceparent or event.traceparent) if attempt.outcome != "deleted" else None,
    )


def _trace(traceparent: str) -> pb.EventTrace | None:
    context = decode(traceparent)
    if context is None:
        return None
    return pb.EventTrace(trace_id=f"{context.trace_id:032x}", sampled=context.trace_flags.sampled)


def _time(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
