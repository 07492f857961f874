"""Events and their timelines on a terminal."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from hookline.cli.relay_call import printable
from hookline.cli.tables import console

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.table import Table

    from hookline.v1 import event_pb2 as pb

_IN_MILLISECONDS = timedelta(seconds=100)
_SHORT_ID = 8
_STATES = {
    "pending": "pending: not read yet, or with a relay or a consumer",
    "waiting": "waits until",
    "blocked": "waits for an earlier event of its key",
    "acked": "acked",
    "dead": "dead; `hookline dead` redrives or deletes it",
    "deleted": "given up",
    "filtered": "not for this subscription: its filter doesn't let it through",
    "passed": "passed, and nothing is recorded: filtered out then, or older than subscription or history",
}


class _Line(NamedTuple):
    """One moment of the timeline."""

    time: datetime
    what: str
    attempt: str = ""
    consumer: str = ""
    trace: str = ""
    reason: str = ""


def print_events(events: "Sequence[pb.Event]", *, more: bool) -> None:
    """Print a table, and a word if the list goes on."""
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "received (UTC)", "source", "type", "bytes", "trace", highlight=False)
    for event in events:
        table.add_row(
            event.id,
            _when(_time(event.receive_time)),
            event.source,
            # A provider's words: nothing in them is markup.
            Text(printable(event.type)),
            str(event.size),
            event.trace.trace_id,
        )
    screen = console()
    screen.print(table)
    if more:
        screen.print(f"the newest {len(events)}; --limit shows more")


def print_event(found: "pb.GetEventResponse", template: str | None) -> None:
    """Print everything that is known of one, with links to its traces if there is a template."""
    from rich.console import Console
    from rich.table import Table

    event = found.event
    screen = Console(markup=False, highlight=False, soft_wrap=True)
    for name, value in (
        ("event", event.id),
        ("source", event.source),
        ("type", event.type),
        ("body", f"{event.size} bytes, {'in the log' if found.logged else 'not in the log any more'}"),
        ("place", f"shard {event.shard}, seq {event.seq}"),
        ("revision", "yes: an event before it has the same key and another body" if event.revision else ""),
        ("same key", ", ".join(name.rpartition("/")[2] for name in found.revisions)),
    ):
        if value:
            screen.print(f"{name:<10} {printable(value)}")
    table = Table("time (UTC)", "after", "what", "attempt", "consumer", "trace", "reason", highlight=False)
    received = _time(event.receive_time)
    _add(table, _Line(received, "received", trace=event.trace.trace_id), received)
    if event.HasField("commit_time"):
        _add(table, _Line(_time(event.commit_time), "committed"), received)
    for delivery in found.deliveries:
        _add_delivery(table, delivery, received)
    # Not the console from above, which lets lines be as long as they are: a table is laid out.
    console().print(table)
    for trace_id, (what, is_recorded) in _traces(found).items():
        where = ""
        if not is_recorded:
            where = "  (not recorded)"
        elif template:
            from hookline.config.trace_url import link

            where = f"  {link(template, trace_id)}"
        screen.print(f"trace {trace_id}  {what}{where}")


def _add_delivery(table: "Table", delivery: "pb.EventDelivery", received: datetime) -> None:
    from rich.text import Text

    from hookline.v1.event_pb2 import EventDeliveryState

    state = EventDeliveryState.Name(delivery.state).removeprefix("EVENT_DELIVERY_STATE_").lower()
    said = _STATES.get(state, state)
    if delivery.HasField("due_time"):
        said += f" {_when(_time(delivery.due_time))}"
    if delivery.HasField("state_time"):
        said += f", since {_when(_time(delivery.state_time))}"
    table.add_section()
    # Its own row, and not a column, because it is long.
    table.add_row(Text(_name(delivery)), "", Text(said), "", "", "", Text(printable(delivery.reason)))
    for attempt in delivery.attempts:
        for line in _lines(attempt):
            _add(table, line, received)


def _lines(attempt: "pb.EventAttempt") -> "Iterator[_Line]":
    """Hand-over and end."""
    number = str(attempt.number) if attempt.number else ""
    about = (number, attempt.consumer, attempt.trace.trace_id)
    if attempt.HasField("start_time") and attempt.outcome != "deleted":
        yield _Line(_time(attempt.start_time), "handed over", *about)
    yield _Line(_time(attempt.end_time), attempt.outcome, *about, attempt.reason)


def _add(table: "Table", line: _Line, received: datetime) -> None:
    from rich.text import Text

    table.add_row(
        _when(line.time),
        _after(line.time - received),
        Text(line.what),
        line.attempt,
        # A consumer's words.
        Text(printable(line.consumer)),
        line.trace[:_SHORT_ID],
        Text(printable(line.reason)),
    )


def _traces(found: "pb.GetEventResponse") -> dict[str, tuple[str, bool]]:
    """By id: what the trace is of, and whether it is recorded."""
    own = found.event.trace
    traces = {own.trace_id: ("reception", own.sampled)} if own.trace_id else {}
    for delivery in found.deliveries:
        for attempt in delivery.attempts:
            trace = attempt.trace
            if trace.trace_id and trace.trace_id not in traces:
                what = f"{_name(delivery)}, attempt {attempt.number}, {attempt.outcome}"
                traces[trace.trace_id] = (what, trace.sampled)
    return traces


def _name(delivery: "pb.EventDelivery") -> str:
    return f"{delivery.subscription} ({delivery.replay})" if delivery.replay else delivery.subscription


def _after(elapsed: timedelta) -> str:
    seconds = elapsed.total_seconds()
    if abs(elapsed) < _IN_MILLISECONDS:
        return f"{seconds * 1000:+,.1f} ms"
    return f"{seconds:+,.0f} s"


def _time(time: "Timestamp") -> datetime:
    from datetime import UTC

    return time.ToDatetime(tzinfo=UTC)


def _when(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
