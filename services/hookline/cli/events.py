"""`hookline events`: what was received, and what became of it."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs no gRPC)

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.event_tables import print_event, print_events
from hookline.cli.pages import collect
from hookline.cli.relay_call import (
    READ_DEADLINE,
    ConfigOption,
    JsonOption,
    RelayOption,
    as_json,
    connected,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

events_app = typer.Typer(
    name="events",
    help="Look up what was received, and what became of it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@events_app.command()
def show(
    event: Annotated[str, typer.Argument(metavar="ID", help="The event's id, with dashes or without.")],
    *,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one event's timeline: received, committed, and for each subscription every attempt, with its trace."""
    from hookline.config import load
    from hookline.v1 import event_pb2 as pb
    from hookline.v1.event_pb2_grpc import EventServiceStub

    template = load(config).trace_link()
    with connected(relay, config) as channel:
        request = pb.GetEventRequest(name=event if "/" in event else f"events/{event.strip()}")
        found = EventServiceStub(channel).GetEvent(request, timeout=READ_DEADLINE)
    if json:
        print_json(_with_links(as_json(found), template))
    else:
        print_event(found, template)


@events_app.command("list")
def list_(
    *,
    source: Annotated[str, typer.Option(help="Glob over source names.", show_default=False)] = "",
    type_: Annotated[str, typer.Option("--type", help="Glob over event types.", show_default=False)] = "",
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Received at or after.", formats=_TIMES, show_default=False),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="Received before.", formats=_TIMES, show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the events that the log holds, the newest first."""
    from hookline.v1 import event_pb2 as pb
    from hookline.v1.event_pb2_grpc import EventServiceStub

    wanted = pb.EventFilter(source=source, type=type_)
    # A time without a zone is this machine's.
    if since is not None:
        wanted.start_time.FromDatetime(since.astimezone())
    if until is not None:
        wanted.end_time.FromDatetime(until.astimezone())
    with connected(relay, config) as channel:
        service = EventServiceStub(channel)

        def ask(size: int, token: str) -> "tuple[Sequence[pb.Event], str]":
            request = pb.ListEventsRequest(filter=wanted, page_size=size, page_token=token)
            page = service.ListEvents(request, timeout=READ_DEADLINE)
            return page.events, page.next_page_token

        found, more = collect(ask, limit=limit)
    if json:
        print_json([as_json(event) for event in found])
    else:
        print_events(found, more=more)


def _with_links(found: "dict[str, Any]", template: str | None) -> "dict[str, Any]":
    """The same with a link in each trace that is recorded."""
    from hookline.config.trace_url import link

    attempts = [attempt for delivery in found["deliveries"] for attempt in delivery["attempts"]]
    for described in (found["event"], *attempts):
        trace = described.get("trace")
        if template and trace and trace["sampled"]:
            trace["url"] = link(template, trace["trace_id"])
    return found
