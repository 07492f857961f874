"""`hookline subscriptions`: what is delivered to whom."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs no gRPC)

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
    printable,
)
from hookline.cli.tables import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.v1.subscription_pb2 import Subscription

_ORDERED = 2
"""ORDERING_KEY, without loading the contracts."""
NameArgument = Annotated[str, typer.Argument(help="Name of the subscription.")]

subscriptions_app = typer.Typer(
    name="subscriptions", help="Look at subscriptions, pause, resume and delete them.", no_args_is_help=True
)


@subscriptions_app.command("list")
def list_(*, relay: RelayOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List all subscriptions."""
    from hookline.v1 import subscription_pb2 as pb
    from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(relay, config) as channel:
        service = SubscriptionServiceStub(channel)

        def ask(size: int, token: str) -> "tuple[Sequence[pb.Subscription], str]":
            request = pb.ListSubscriptionsRequest(page_size=size, page_token=token)
            page = service.ListSubscriptions(request, timeout=READ_DEADLINE)
            return page.subscriptions, page.next_page_token

        found, _ = collect(ask)
    if json:
        print_json([as_json(subscription) for subscription in found])
    else:
        _print_table(found)


@subscriptions_app.command()
def show(
    name: NameArgument, *, relay: RelayOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Show one subscription with all its settings."""
    from hookline.v1 import subscription_pb2 as pb
    from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(relay, config) as channel:
        request = pb.GetSubscriptionRequest(name=name)
        found = SubscriptionServiceStub(channel).GetSubscription(request, timeout=READ_DEADLINE)
    _print_one(found.subscription, json=json)


@subscriptions_app.command()
def pause(
    name: NameArgument, *, relay: RelayOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Stop handing over; what is handed over can be settled."""
    from hookline.v1 import subscription_pb2 as pb
    from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(relay, config) as channel:
        request = pb.PauseSubscriptionRequest(name=name)
        paused = SubscriptionServiceStub(channel).PauseSubscription(request, timeout=READ_DEADLINE)
    if json:
        print_json(as_json(paused.subscription))
    else:
        typer.echo(f"{name} is paused; `hookline subscriptions resume {name}` goes on")


@subscriptions_app.command()
def resume(
    name: NameArgument, *, relay: RelayOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Go on where it was paused."""
    from hookline.v1 import subscription_pb2 as pb
    from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(relay, config) as channel:
        request = pb.ResumeSubscriptionRequest(name=name)
        resumed = SubscriptionServiceStub(channel).ResumeSubscription(request, timeout=READ_DEADLINE)
    if json:
        print_json(as_json(resumed.subscription))
    else:
        typer.echo(f"{name} is handed over again")


@subscriptions_app.command()
def delete(
    name: NameArgument,
    *,
    etag: Annotated[str, typer.Option(help="Delete only what was seen.", show_default=False)] = "",
    yes: YesOption = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete a subscription with its place in the log, its deliveries and its dead letters."""
    from hookline.v1 import subscription_pb2 as pb
    from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub

    if not yes:
        question = f"Delete {printable(name)} with its place in the log, its deliveries and its dead letters?"
        confirm(question)
    with connected(relay, config) as channel:
        SubscriptionServiceStub(channel).DeleteSubscription(
            pb.DeleteSubscriptionRequest(name=name, etag=etag)
        )
    typer.echo(f"{name} is deleted")


def _print_table(found: "list[Subscription]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "sources", "types", "order", "consumers", "state", highlight=False)
    for subscription in found:
        push = subscription.push.target if subscription.HasField("push") else "connect"
        table.add_row(
            subscription.name,
            # Brackets in a glob are no markup.
            Text(", ".join(subscription.sources)),
            Text(", ".join(subscription.types)),
            "by key" if subscription.ordering == _ORDERED else "none",
            Text(push),
            "paused" if subscription.paused else "active",
        )
    console().print(table)


def _print_one(subscription: "Subscription", *, json: bool) -> None:
    values = as_json(subscription)
    if json:
        print_json(values)
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False, soft_wrap=True)
    for name, value in _lines(values):
        console.print(f"{name:<32} {printable(value)}")


def _lines(values: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Each setting with its path, as an update mask names it."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            lines.append(
                (prefix + name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            )
    return lines
