"""`hookline dead`: deliveries that failed for good."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs no gRPC)

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli.dead_tables import print_letter, print_letters
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.v1.dead_letter_pb2 import DeadLetterFilter, DeadLetterNames

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

SubscriptionArgument = Annotated[str, typer.Argument(help="Name of the subscription.")]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of dead letters, as `list` shows them.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters of the subscription.")]
SourceOption = Annotated[str, typer.Option(help="Glob over source names.", show_default=False)]
TypeOption = Annotated[str, typer.Option("--type", help="Glob over event types.", show_default=False)]
ContainsOption = Annotated[
    str, typer.Option("--reason-contains", help="Text that the reason contains.", show_default=False)
]
AfterOption = Annotated[
    datetime | None, typer.Option("--after", help="Given up at or after.", formats=_TIMES, show_default=False)
]
BeforeOption = Annotated[
    datetime | None, typer.Option("--before", help="Given up before.", formats=_TIMES, show_default=False)
]

dead_app = typer.Typer(
    name="dead",
    help="Look at dead letters, deliver them again or give them up.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold payloads
)


@dead_app.command("list")
def list_(
    subscription: SubscriptionArgument,
    *,
    source: SourceOption = "",
    type_: TypeOption = "",
    contains: ContainsOption = "",
    after: AfterOption = None,
    before: BeforeOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List dead letters, the most recently dead first."""
    from hookline.v1 import dead_letter_pb2 as pb
    from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub

    wanted = _filter(source, type_, contains, after, before)
    with connected(relay, config) as channel:
        service = DeadLetterServiceStub(channel)

        def ask(size: int, token: str) -> "tuple[Sequence[pb.DeadLetter], str]":
            request = pb.ListDeadLettersRequest(
                subscription=subscription, filter=wanted, page_size=size, page_token=token
            )
            page = service.ListDeadLetters(request, timeout=READ_DEADLINE)
            return page.dead_letters, page.next_page_token

        found, more = collect(ask, limit=limit)
    if json:
        print_json([as_json(letter) for letter in found])
    else:
        print_letters(found, more=more)


@dead_app.command()
def show(
    subscription: SubscriptionArgument,
    letter: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    *,
    body: Annotated[
        bool, typer.Option("--body", help="Show headers and body too; they may be personal data.")
    ] = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one dead letter with all its attempts."""
    from hookline.v1 import dead_letter_pb2 as pb
    from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub

    with connected(relay, config) as channel:
        request = pb.GetDeadLetterRequest(name=_name(subscription, letter), with_body=body)
        found = DeadLetterServiceStub(channel).GetDeadLetter(request, timeout=READ_DEADLINE)
    if json:
        print_json(as_json(found))
    else:
        print_letter(found, with_body=body)


@dead_app.command()
def redrive(
    subscription: SubscriptionArgument,
    letters: IdsArgument = None,
    *,
    all_: AllOption = False,
    source: SourceOption = "",
    type_: TypeOption = "",
    contains: ContainsOption = "",
    after: AfterOption = None,
    before: BeforeOption = None,
    yes: YesOption = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Deliver dead letters again, with all attempts before them."""
    from hookline.v1 import dead_letter_pb2 as pb
    from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub

    named, wanted = _which(subscription, letters, all_, _filter(source, type_, contains, after, before))
    with connected(relay, config) as channel:
        service = DeadLetterServiceStub(channel)

        def call(*, validate_only: bool) -> int:
            request = pb.RedriveDeadLettersRequest(
                subscription=subscription, dead_letters=named, filter=wanted, validate_only=validate_only
            )
            return service.RedriveDeadLetters(request).redriven

        redriven = _confirmed(call, "Redrive", subscription, ask=not yes and named is None)
    if json:
        print_json({"redriven": redriven})
    else:
        typer.echo(f"{redriven} redriven")


@dead_app.command()
def delete(
    subscription: SubscriptionArgument,
    letters: IdsArgument = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with the history of attempts.")],
    all_: AllOption = False,
    source: SourceOption = "",
    type_: TypeOption = "",
    contains: ContainsOption = "",
    after: AfterOption = None,
    before: BeforeOption = None,
    yes: YesOption = False,
    relay: RelayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give dead letters up. What waited for them goes on."""
    from hookline.v1 import dead_letter_pb2 as pb
    from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub

    named, wanted = _which(subscription, letters, all_, _filter(source, type_, contains, after, before))
    with connected(relay, config) as channel:
        service = DeadLetterServiceStub(channel)

        def call(*, validate_only: bool) -> int:
            request = pb.DeleteDeadLettersRequest(
                subscription=subscription,
                dead_letters=named,
                filter=wanted,
                reason=reason,
                validate_only=validate_only,
            )
            return service.DeleteDeadLetters(request).deleted

        deleted = _confirmed(call, "Delete", subscription, ask=not yes and named is None)
    if json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"{deleted} deleted")


def _confirmed(call: "Callable[..., int]", verb: str, subscription: str, *, ask: bool) -> int:
    """Carry it out, after the number was shown and agreed to."""
    if ask:
        count = call(validate_only=True)
        if count == 0:
            return 0
        what = "dead letter" if count == 1 else "dead letters"
        confirm(f"{verb} {count} {what} of {subscription}?")
    return call(validate_only=False)


def _which(
    subscription: str,
    letters: list[str] | None,
    all_: bool,  # noqa: FBT001
    wanted: "DeadLetterFilter",
) -> "tuple[DeadLetterNames | None, DeadLetterFilter | None]":
    """The names or the filter; exactly one of them is there."""
    from hookline.v1.dead_letter_pb2 import DeadLetterFilter, DeadLetterNames

    chosen = bool(letters), all_, wanted != DeadLetterFilter()
    if sum(chosen) != 1:
        raise typer.BadParameter(
            "Say which: ids, or a filter such as --reason-contains, or --all; one of the three.",
            param_hint="ID",
        )
    if letters:
        return DeadLetterNames(names=[_name(subscription, letter) for letter in letters]), None
    return None, wanted


def _filter(
    source: str, type_: str, contains: str, after: datetime | None, before: datetime | None
) -> "DeadLetterFilter":
    from hookline.v1.dead_letter_pb2 import DeadLetterFilter

    wanted = DeadLetterFilter(source=source, type=type_, reason_contains=contains)
    # A time without a zone is this machine's.
    if after is not None:
        wanted.dead_after.FromDatetime(after.astimezone())
    if before is not None:
        wanted.dead_before.FromDatetime(before.astimezone())
    return wanted


def _name(subscription: str, letter: str) -> str:
    """The letter's name; an id is the last part of it."""
    return letter if "/" in letter else f"subscriptions/{subscription}/deadLetters/{letter}"
