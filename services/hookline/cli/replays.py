"""`hookline replays`: events of the past, delivered to one subscription once more."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs no gRPC)

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.pages import collect
from hookline.cli.relay_call import (
    READ_DEADLINE,
    ConfigOption,
    JsonOption,
    RelayOption,
    YesOption,
    as_json,
    confirm,
    connected,
    print_json,
)
from hookline.cli.replay_tables import print_progress, print_replay, print_replays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.v1.replay_pb2 import Replay
    from hookline.v1.replay_pb2_grpc import ReplayServiceStub

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_LOOK_EVERY = 0.5
"""Seconds."""

ReplayArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Show the progress until all is delivered.")
]

replays_app = typer.Typer(
    name="replays",
    help="Deliver events of the past to one subscription once more.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@replays_app.command()
def start(
    subscription: Annotated[str, typer.Argument(help="Name of the subscription.")],
    *,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", help="An event's id; may be given several times.", show_default=False),
    ] = None,
    events_from: Annotated[
        Path | None,
        typer.Option(help="A file with an event's id on each line; - reads them here.", show_default=False),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All events that the subscription's filter lets through.")
    ] = False,
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="Glob over source names.", show_default=False)
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Glob over event types.", show_default=False)
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Received at or after.", formats=_TIMES, show_default=False),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="Received before.", formats=_TIMES, show_default=False)
    ] = None,
    rate: Annotated[
        float,
        typer.Option(help="Deliveries a second, at most; 0: as fast as they are settled."),
    ] = 0,
    yes: YesOption = False,
    follow: FollowOption = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Start a replay, after its size was shown and agreed to."""
    from hookline.v1 import replay_pb2 as pb
    from hookline.v1.replay_pb2_grpc import ReplayServiceStub

    ids = [*(events or ()), *_read_ids(events_from)]
    has_filter = bool(sources or types or since or until)
    if bool(ids) + has_filter + all_ != 1:
        raise typer.BadParameter(
            "Say which events: --event or --events-from, or a filter such as --since, or --all; one of the three.",
            param_hint="--event",
        )
    wanted = pb.Replay(subscription=subscription, max_rate=rate)
    if ids:
        wanted.events.ids.extend(ids)
    else:
        wanted.filter.SetInParent()
        wanted.filter.sources.extend(sources or ())
        wanted.filter.types.extend(types or ())
        # A time without a zone is this machine's.
        if since is not None:
            wanted.filter.start_time.FromDatetime(since.astimezone())
        if until is not None:
            wanted.filter.end_time.FromDatetime(until.astimezone())
    with connected(relay, config) as channel:
        service = ReplayServiceStub(channel)
        if not yes:
            request = pb.CreateReplayRequest(replay=wanted, validate_only=True)
            counted = service.CreateReplay(request, timeout=READ_DEADLINE).replay
            size = f"{'at most ' if counted.reason else ''}{counted.created}"
            confirm(f"Deliver {size} {'event' if size == '1' else 'events'} to {subscription} once more?")
        request = pb.CreateReplayRequest(replay=wanted)
        replay = service.CreateReplay(request, timeout=READ_DEADLINE).replay
        if not json:
            typer.echo(f"{replay.name} started", err=follow)
        if follow:
            replay = _follow(service, replay)
    if json:
        print_json(as_json(replay))
    elif follow:
        print_replay(replay)


@replays_app.command("list")
def list_(
    subscription: Annotated[
        str, typer.Argument(help="Name of the subscription; all without it.", show_default=False)
    ] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List replays, the newest first."""
    from hookline.v1 import replay_pb2 as pb
    from hookline.v1.replay_pb2_grpc import ReplayServiceStub

    with connected(relay, config) as channel:
        service = ReplayServiceStub(channel)

        def ask(size: int, token: str) -> "tuple[Sequence[pb.Replay], str]":
            request = pb.ListReplaysRequest(subscription=subscription, page_size=size, page_token=token)
            page = service.ListReplays(request, timeout=READ_DEADLINE)
            return page.replays, page.next_page_token

        found, more = collect(ask, limit=limit)
    if json:
        print_json([as_json(replay) for replay in found])
    else:
        print_replays(found, more=more)


@replays_app.command()
def show(
    replay: ReplayArgument,
    *,
    follow: FollowOption = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one replay and how far it has come."""
    from hookline.v1.replay_pb2_grpc import ReplayServiceStub

    with connected(relay, config) as channel:
        service = ReplayServiceStub(channel)
        found = _get(service, _name(replay))
        if follow:
            found = _follow(service, found)
    if json:
        print_json(as_json(found))
    else:
        print_replay(found)


@replays_app.command()
def cancel(
    replay: ReplayArgument,
    *,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a replay, and withdraw what it made and nobody has settled."""
    from hookline.v1 import replay_pb2 as pb
    from hookline.v1.replay_pb2_grpc import ReplayServiceStub

    with connected(relay, config) as channel:
        request = pb.CancelReplayRequest(name=_name(replay))
        found = ReplayServiceStub(channel).CancelReplay(request, timeout=READ_DEADLINE).replay
    if json:
        print_json(as_json(found))
    else:
        print_replay(found)


def _follow(service: "ReplayServiceStub", replay: "Replay") -> "Replay":
    """Show the progress until nothing is left to make and to settle, or somebody has seen enough."""
    from hookline.v1.replay_pb2 import REPLAY_STATE_RUNNING

    try:
        while True:
            print_progress(replay)
            if replay.state != REPLAY_STATE_RUNNING and replay.outstanding == 0:
                return replay
            time.sleep(_LOOK_EVERY)
            replay = _get(service, replay.name)
    except KeyboardInterrupt:
        return replay


def _get(service: "ReplayServiceStub", name: str) -> "Replay":
    from hookline.v1.replay_pb2 import GetReplayRequest

    return service.GetReplay(GetReplayRequest(name=name), timeout=READ_DEADLINE).replay


def _read_ids(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(
            f"{file}: can't be read: {type(error).__name__}", param_hint="--events-from"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _name(replay: str) -> str:
    return replay if "/" in replay else f"replays/{replay}"
