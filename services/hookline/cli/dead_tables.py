"""Dead letters on a terminal."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookline.cli.relay_call import printable
from hookline.cli.tables import console

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from hookline.v1.dead_letter_pb2 import DeadLetter, GetDeadLetterResponse


def print_letters(letters: "Sequence[DeadLetter]", *, more: bool) -> None:
    """Print a table, and a word if the list goes on."""
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "dead since", "attempts", "source", "type", "reason", highlight=False)
    for letter in letters:
        table.add_row(
            letter.name.rpartition("/")[2],
            _when(letter.dead_time),
            str(letter.attempts),
            letter.source,
            # A provider's and a consumer's words: nothing in them is markup.
            Text(printable(letter.type)),
            Text(printable(letter.reason)),
        )
    screen = console()
    screen.print(table)
    if more:
        screen.print(f"the newest {len(letters)}; --limit shows more")


def print_letter(found: "GetDeadLetterResponse", *, with_body: bool) -> None:
    """Print everything that is known of one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    letter = found.dead_letter
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for name, value in (
        ("name", letter.name),
        ("event", letter.event_id),
        ("source", letter.source),
        ("type", letter.type),
        ("received", _when(letter.receive_time) if letter.HasField("receive_time") else "unknown"),
        (
            "first attempt",
            _when(letter.first_attempt_time) if letter.HasField("first_attempt_time") else "never",
        ),
        ("dead since", _when(letter.dead_time)),
        ("reason", letter.reason),
        ("replay", letter.replay),
    ):
        if value:
            console.print(f"{name:<14} {printable(value)}")
    table = Table("attempt", "outcome", "consumer", "ended", "took", "reason", highlight=False)
    for attempt in found.attempts:
        took = attempt.end_time.ToDatetime() - attempt.start_time.ToDatetime()
        table.add_row(
            str(attempt.number),
            attempt.outcome,
            Text(printable(attempt.consumer)),
            _when(attempt.end_time),
            f"{took.total_seconds():.3f} s",
            Text(printable(attempt.reason)),
        )
    console.print(table)
    if with_body:
        for header in found.headers:
            console.print(printable(header))
        # Escaped: a body may hold what a terminal would obey.
        console.print(repr(found.body.decode(errors="backslashreplace")))


def _when(time: "Timestamp") -> str:
    from datetime import UTC

    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
