"""Replays on a terminal."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookline.cli.relay_call import printable
from hookline.cli.tables import console

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from hookline.v1.replay_pb2 import Replay


def print_replays(replays: "Sequence[Replay]", *, more: bool) -> None:
    """Print a table, and a word if the list goes on."""
    from rich.table import Table

    table = Table(
        "id", "subscription", "state", "scanned", "created", "outstanding", "started", highlight=False
    )
    for replay in replays:
        table.add_row(
            replay.name.rpartition("/")[2],
            replay.subscription,
            _state(replay),
            str(replay.scanned),
            str(replay.created),
            str(replay.outstanding),
            _when(replay.create_time),
        )
    screen = console()
    screen.print(table)
    if more:
        screen.print(f"the newest {len(replays)}; --limit shows more")


def print_replay(replay: "Replay") -> None:
    """Print everything that is known of one."""
    from rich.console import Console

    console = Console(markup=False, highlight=False, soft_wrap=True)
    for name, value in (
        ("name", replay.name),
        ("subscription", replay.subscription),
        ("events", _which(replay)),
        ("rate", f"{replay.max_rate:g} deliveries a second" if replay.max_rate else "as they are settled"),
        ("state", _state(replay)),
        ("reason", replay.reason),
        ("scanned", str(replay.scanned)),
        ("created", str(replay.created)),
        ("outstanding", str(replay.outstanding)),
        ("started", _when(replay.create_time)),
        ("ended", _when(replay.end_time) if replay.HasField("end_time") else ""),
    ):
        if value:
            console.print(f"{name:<14} {printable(value)}")


def print_progress(replay: "Replay") -> None:
    """Print a line on standard error; on a terminal it replaces the one before."""
    line = (
        f"{replay.name}: {_state(replay)}, {replay.scanned} scanned, {replay.created} created, "
        f"{replay.outstanding} outstanding"
    )
    sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else f"{line}\n")
    if sys.stderr.isatty() and _state(replay) != "running" and replay.outstanding == 0:
        sys.stderr.write("\n")
    sys.stderr.flush()


def _which(replay: "Replay") -> str:
    if replay.WhichOneof("which") == "events":
        return f"{len(replay.events.ids)} by their ids"
    wanted = replay.filter
    parts = [f"sources {' '.join(wanted.sources)}", f"types {' '.join(wanted.types)}"]
    if wanted.HasField("start_time"):
        parts.append(f"since {_when(wanted.start_time)}")
    if wanted.HasField("end_time"):
        parts.append(f"until {_when(wanted.end_time)}")
    return ", ".join(parts)


def _state(replay: "Replay") -> str:
    from hookline.v1.replay_pb2 import ReplayState

    return ReplayState.Name(replay.state).removeprefix("REPLAY_STATE_").lower()


def _when(time: "Timestamp") -> str:
    from datetime import UTC

    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
