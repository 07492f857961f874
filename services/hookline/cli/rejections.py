"""`hookline rejections`: requests that the edge refused.

Runs where an edge could run: it opens what was sealed and verifies with the secrets, which only an edge has.
"""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs none of this)

import asyncio
import os
import pwd
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import structlog
import typer

from hookline.cli.local import ask, explained, with_database
from hookline.cli.rejection_tables import (
    admitted_as_json,
    as_json,
    print_admitted,
    print_rejection,
    print_rejections,
    print_summary,
    write_body,
)
from hookline.cli.relay_call import ConfigOption, JsonOption, YesOption, confirm, print_json
from hookline.config import Settings, load
from hookline.errors import ConfigError
from hookline.telemetry.logs import configure

if TYPE_CHECKING:
    from hookline.edge.rejections.admission import Admission, Admitted, Verdict
    from hookline.edge.schemes.incoming import Incoming
    from hookline.store.rejections import Rejection, RejectionFilter
    from hookline.store.session import Session

_log = structlog.get_logger(__name__)

EXIT_NOT_STORED = 1
"""The database failed in between: give the command again."""
EXIT_NOT_ADMITTED = 2
"""Something was named that could not be admitted; the output says why."""
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_PAGE = 1_000
_WITHIN = timedelta(seconds=30)

SourceOption = Annotated[str, typer.Option("--source", help="Of this source.", show_default=False)]
CauseOption = Annotated[
    str, typer.Option("--cause", help="Refused for this, such as bad_signature.", show_default=False)
]
SinceOption = Annotated[
    datetime | None, typer.Option("--since", help="Received at or after.", formats=_TIMES, show_default=False)
]
UntilOption = Annotated[
    datetime | None, typer.Option("--until", help="Received before.", formats=_TIMES, show_default=False)
]

rejections_app = typer.Typer(
    name="rejections",
    help="Look at requests that were refused, and admit them after all.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold payloads
)


@rejections_app.command("list")
def list_(
    *,
    source: SourceOption = "",
    cause: CauseOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List refused requests, the newest first."""
    wanted = _filter(source, cause, since, until)
    found = ask(load(config), lambda session: _newest(session, wanted, limit + 1))
    if json:
        print_json([as_json(rejection) for rejection in found[:limit]])
    else:
        print_rejections(found[:limit], more=len(found) > limit)


@rejections_app.command()
def show(
    rejection: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    *,
    with_body: Annotated[
        bool,
        typer.Option(
            "--with-body",
            help="Write the body to standard output, byte for byte, and the rest to standard error. "
            "It may be personal data.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one refused request, secrets in its headers masked."""
    if json and with_body:
        raise typer.BadParameter(
            "a body need not be text; ask for it alone", param_hint="--json and --with-body"
        )
    settings = load(config)
    found, sealed = ask(settings, lambda session: _find(session, _uuid(rejection)))
    if json:
        print_json(as_json(found, headers=True))
        return
    incoming = _open(settings, found, sealed) if with_body else None
    print_rejection(found, to=sys.stderr if with_body else sys.stdout)
    if incoming is not None:
        write_body(incoming.body)


@rejections_app.command()
def admit(
    rejections: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids, as `list` shows them.", show_default=False),
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that were refused.")] = False,
    source: SourceOption = "",
    cause: CauseOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    ignore_clock: Annotated[
        bool,
        typer.Option(
            "--ignore-clock",
            help="Admit what is refused for nothing but its timestamp. It may be somebody's repetition of a webhook "
            "that was recorded: what was accepted before stays a duplicate.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each.")] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Verify refused requests again, as the configuration and the secrets are now, and accept those that verify."""
    ids = [_uuid(text) for text in rejections or ()]
    wanted = _filter(source, cause, since, until)
    if [bool(ids), all_, wanted != _filter("", "", None, None)].count(True) != 1:
        raise typer.BadParameter(
            "Say which: ids, or a filter such as --source, or --all; one of the three.", param_hint="ID"
        )
    settings = load(config)
    configure(settings.telemetry)
    if not ids and not dry_run and not yes and not _agreed(settings, wanted, source):
        return
    with with_database(settings) as reached:
        admitting = _admit(reached, ids, wanted, ignore_clock=ignore_clock, dry_run=dry_run, json=json)
        verdicts = asyncio.run(explained(admitting))
    raise typer.Exit(_exit_code(verdicts))


async def _newest(session: "Session", wanted: "RejectionFilter", limit: int) -> "list[Rejection]":
    from hookline.store.rejections import NEWEST, find_newest

    found: list[Rejection] = []
    after = NEWEST
    while len(found) < limit:
        count = min(limit - len(found), _PAGE)
        page = await find_newest(session, wanted, after=after, count=count, within=_WITHIN)
        found += page
        if len(page) < count:
            break
        after = page[-1].place
    return found


async def _find(session: "Session", rejection_id: UUID) -> "tuple[Rejection, bytes | None]":
    from hookline.store.rejections import find, originals

    found = await find(session, [rejection_id], within=_WITHIN)
    if not found:
        raise ConfigError(f"{rejection_id}: no such rejection; it may be beyond its source's bounds by now")
    sealed = await originals(session, [rejection_id], within=_WITHIN)
    return found[0], sealed.get(rejection_id)


def _open(settings: Settings, rejection: "Rejection", sealed: bytes | None) -> "Incoming":
    from hookline.edge.rejections.original import unseal

    if sealed is None:
        raise ConfigError(f"{rejection.id}: its body was not kept ({rejection.omitted})")
    sealer = settings.secrets.sealer()
    if sealer is None:
        raise ConfigError(f"{rejection.id}: its body is sealed; set secrets.keys as the edge has it")
    return unseal(sealer, rejection.id, rejection.source, sealed, now=rejection.received_at.timestamp())


def _agreed(settings: Settings, wanted: "RejectionFilter", source: str) -> bool:
    """Ask, if there is anything to ask for."""
    from hookline.store.rejections import count

    async def matching(session: "Session") -> int:
        return await count(session, wanted, within=_WITHIN)

    many = ask(settings, matching)
    if many == 0:
        typer.echo("nothing to admit", err=True)
        return False
    what = "rejection" if many == 1 else "rejections"
    confirm(f"Verify {many} {what}{f' of {source}' if source else ''} again and accept what verifies?")
    return True


async def _admit(
    settings: Settings,
    ids: list[UUID],
    wanted: "RejectionFilter",
    *,
    ignore_clock: bool,
    dry_run: bool,
    json: bool,
) -> "Counter[Verdict]":
    """Admit, and print what becomes of each."""
    from hookline.edge.rejections.desk import admission

    verdicts: Counter[Verdict] = Counter()
    entries: list[dict[str, object]] = []
    try:
        async with admission(settings, ignore_clock=ignore_clock, dry_run=dry_run) as desk:
            async for admitted in _each(desk, ids, wanted):
                verdicts[admitted.verdict] += 1
                if json:
                    entries.append(admitted_as_json(admitted))
                else:
                    print_admitted(admitted, dry_run=dry_run)
    finally:
        if json:
            print_json(entries)
        else:
            print_summary(verdicts)
        if not dry_run:
            outcome = {verdict.name.lower(): number for verdict, number in verdicts.items()}
            _log.info("rejections admitted", operator=_operator(), ignore_clock=ignore_clock, **outcome)
    return verdicts


def _each(desk: "Admission", ids: list[UUID], wanted: "RejectionFilter") -> "AsyncIterator[Admitted]":
    return desk.named(ids) if ids else desk.matching(wanted)


def _exit_code(verdicts: "Counter[Verdict]") -> int:
    from hookline.edge.rejections.admission import Verdict

    if verdicts[Verdict.NOT_STORED]:
        return EXIT_NOT_STORED
    done = verdicts[Verdict.ACCEPTED] + verdicts[Verdict.DUPLICATE] + verdicts[Verdict.ADMITTED_BEFORE]
    return EXIT_NOT_ADMITTED if verdicts.total() > done else 0


def _operator() -> str:
    """Who gave the command: the user of this machine, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _filter(source: str, cause: str, since: datetime | None, until: datetime | None) -> "RejectionFilter":
    from hookline.store.rejections import RejectionFilter

    wanted = RejectionFilter(source=source, cause=cause)
    # A time without a zone is this machine's.
    if since is not None:
        wanted = wanted._replace(since=since.astimezone())
    return wanted if until is None else wanted._replace(until=until.astimezone())


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no id; `hookline rejections list` shows them", param_hint="ID"
        ) from None
