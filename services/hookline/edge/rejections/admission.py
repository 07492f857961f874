"""Admit what was refused: verify it once more with the secrets of today, and put it into the normal path.

A rejection becomes the event that it would have been, with its own time of receipt. The event's id is computed, so
the ledger sees to it that this happens once: whether two people admit it at the same moment, the provider has sent it
again meanwhile, or this process dies between the commit of the event and the note that it was admitted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from hookline.edge.intake import Intake
from hookline.edge.rejections.clock import named_times
from hookline.edge.rejections.judge import HANDSHAKE, Judge
from hookline.edge.rejections.original import OriginalUnreadable, unseal
from hookline.edge.rejections.rejection import Omitted
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.verdict import Refusal
from hookline.errors import DatabaseUnavailable, HooklineError, IntakeUnavailable, StatementRefused
from hookline.model import Accepted, Duplicate, NewEvent, Outcome
from hookline.sealing import SealBroken, Sealer
from hookline.store import rejections as store
from hookline.store.ingest import notify
from hookline.store.rejections import OLDEST, Rejection, RejectionFilter
from hookline.store.replays import locate
from hookline.store.session import Session

_WITHIN = timedelta(seconds=30)
_CHUNK = 100
_CHUNK_BYTES = 16 * 1024 * 1024
"""Bytes of originals that are opened at a time, unless a single one is larger."""
_PAGE = 1_000


_WHY_OMITTED: dict[str, str] = {
    Omitted.NOT_READ: "it was refused by its head, so its body was not read",
    Omitted.POLICY: 'its body was not kept: rejections.body = "omit"',
    Omitted.NO_KEY: "its body was not kept: there was no key in secrets.keys",
    Omitted.TOO_LARGE: "its body was not kept: it is too large for rejections.max_bytes",
    Omitted.OVER_BUDGET: "its body was not kept: too much came at that moment",
}


class Verdict(StrEnum):
    """What became of a rejection."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """Its event was there already: the provider has sent it again."""
    ADMITTED_BEFORE = "admitted before"
    REFUSED = "still refused"
    IMPOSSIBLE = "can't be admitted"
    NOT_STORED = "not stored"
    """The database failed; try again."""
    NOT_FOUND = "not found"


class Admitted(NamedTuple):
    """One rejection and what became of it."""

    id: UUID
    verdict: Verdict
    why: str = ""
    """The cause of the refusal, or what is in the way."""
    event_id: UUID | None = None


class _Closed(HooklineError):
    """There is nothing to open, or nothing to open it with."""


class Admission:
    """Admits rejections, those received first before the others, so that events of one key keep their order.

    Args:
        session: To the database, for this alone.
        intake: The normal path; it must be running.
        judge: The edge's own judgement.
        sealer: Opens what was sealed; None if no key is configured.
        ignore_clock: Whether to admit what is refused for nothing but its timestamp.
        dry_run: Whether to say only what would become of them.
    """

    def __init__(
        self,
        session: Session,
        intake: Intake,
        judge: Judge,
        sealer: Sealer | None,
        *,
        ignore_clock: bool = False,
        dry_run: bool = False,
    ) -> None:
        self._session = session
        self._intake = intake
        self._judge = judge
        self._sealer = sealer
        self._ignore_clock = ignore_clock
        self._dry_run = dry_run

    async def named(self, ids: Sequence[UUID]) -> AsyncIterator[Admitted]:
        """Admit these.

        Raises:
            DatabaseUnavailable: What was answered until then is so; the rest may be asked for again.
        """
        found = await store.find(self._session, ids, within=_WITHIN)
        for chunk in _chunks(found):
            for admitted in await self._admit(chunk):
                yield admitted
        known = {rejection.id for rejection in found}
        for unknown in dict.fromkeys(ids):
            if unknown not in known:
                yield Admitted(
                    unknown, Verdict.NOT_FOUND, "it never was, or it is beyond its source's bounds"
                )

    async def matching(self, wanted: RejectionFilter) -> AsyncIterator[Admitted]:
        """Admit those that fit and weren't admitted before.

        Raises:
            DatabaseUnavailable: What was answered until then is so; the rest may be asked for again.
        """
        newest = await store.find_newest(self._session, wanted, count=1, within=_WITHIN)
        if not newest:
            return
        # What is refused from now on is left for the next time, or this might never end.
        wanted = wanted._replace(until=min(wanted.until, newest[0].received_at + timedelta.resolution))
        after = OLDEST
        while found := await store.find_oldest(
            self._session, wanted, after=after, count=_PAGE, within=_WITHIN
        ):
            for chunk in _chunks(found):
                for admitted in await self._admit(chunk):
                    yield admitted
            after = found[-1].place

    async def _admit(self, chunk: Sequence[Rejection]) -> list[Admitted]:
        """Admit some, the oldest first."""
        originals = await store.originals(
            self._session, [one.id for one in chunk if one.event_id is None], within=_WITHIN
        )
        judged = {one.id: self._decide(one, originals.get(one.id)) for one in chunk}
        events = {of: event for of, event in judged.items() if isinstance(event, NewEvent)}
        becomes = await self._foresee(events) if self._dry_run else await self._commit(events)
        return [becomes[of] if isinstance(decided, NewEvent) else decided for of, decided in judged.items()]

    def _decide(self, rejection: Rejection, sealed: bytes | None) -> NewEvent | Admitted:
        """The event that it is, or why it is none."""
        if rejection.event_id is not None:
            return Admitted(rejection.id, Verdict.ADMITTED_BEFORE, event_id=rejection.event_id)
        if sealed is None and not rejection.omitted:
            return Admitted(rejection.id, Verdict.NOT_FOUND, "it was removed just now")
        try:
            incoming = self._open(rejection, sealed)
        except (_Closed, SealBroken, OriginalUnreadable) as error:
            return Admitted(rejection.id, Verdict.IMPOSSIBLE, str(error))
        judged = self._judged(rejection, incoming)
        if isinstance(judged, NewEvent):
            return judged
        if judged == HANDSHAKE:
            return Admitted(rejection.id, Verdict.IMPOSSIBLE, "it is a handshake, which carries no event")
        return Admitted(rejection.id, Verdict.REFUSED, judged)

    def _open(self, rejection: Rejection, sealed: bytes | None) -> Incoming:
        if sealed is None:
            raise _Closed(_WHY_OMITTED.get(rejection.omitted, "its body was not kept"))
        if self._sealer is None:
            raise _Closed("its body is sealed, and there is no key; set secrets.keys as the edge has it")
        # By the clock of its receipt, not by today's: that a provider signed it an hour ago is as it should be.
        now = rejection.received_at.timestamp()
        return unseal(self._sealer, rejection.id, rejection.source, sealed, now=now)

    def _judged(self, rejection: Rejection, incoming: Incoming) -> NewEvent | str:
        event = self._judge(rejection.source, incoming, rejection.received_at)
        if event == Refusal.STALE_TIMESTAMP and self._ignore_clock:
            for now in named_times(incoming):
                other = self._judge(rejection.source, incoming._replace(now=now), rejection.received_at)
                if isinstance(other, NewEvent):
                    return other
        return event

    async def _foresee(self, events: dict[UUID, NewEvent]) -> dict[UUID, Admitted]:
        ids = [event.event_id for event in events.values()]
        there = {event.event_id for event in await locate(self._session, ids, within=_WITHIN)}
        foreseen = {}
        for of, event in events.items():
            verdict = Verdict.DUPLICATE if event.event_id in there else Verdict.ACCEPTED
            foreseen[of] = Admitted(of, verdict, event_id=event.event_id)
            there.add(event.event_id)
        return foreseen

    async def _commit(self, events: dict[UUID, NewEvent]) -> dict[UUID, Admitted]:
        """Put them into the normal path, in their order, and note what they became."""
        outcomes = await asyncio.gather(*map(self._commit_one, events.values()))
        becomes = {of: _admitted(of, outcome) for of, outcome in zip(events, outcomes, strict=True)}
        done = {of: one.event_id for of, one in becomes.items() if one.event_id is not None}
        if done:
            # The events are there whether or not this succeeds: who admits them again finds duplicates.
            await store.mark_admitted(self._session, done, within=_WITHIN)
            with suppress(DatabaseUnavailable, StatementRefused):
                await notify(self._session, within=_WITHIN)
        return becomes

    async def _commit_one(self, event: NewEvent) -> Outcome | IntakeUnavailable:
        try:
            return await self._intake.commit(event)
        except IntakeUnavailable as error:
            return error


@asynccontextmanager
async def running_intake(dsn: str, *, commit_deadline: timedelta) -> AsyncIterator[Intake]:
    """The normal path for as long as the block lasts.

    One writer, so that events are committed in the order in which they are handed over.
    """
    intake = Intake(
        dsn,
        writers=1,
        max_events=_CHUNK,
        max_bytes=2 * _CHUNK_BYTES,
        commit_deadline=commit_deadline,
        on_commit=lambda *_: None,
    )
    writing = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


def _admitted(rejection_id: UUID, outcome: Outcome | IntakeUnavailable) -> Admitted:
    match outcome:
        case Accepted(event_id=event_id):
            return Admitted(rejection_id, Verdict.ACCEPTED, event_id=event_id)
        case Duplicate(event_id=event_id):
            return Admitted(rejection_id, Verdict.DUPLICATE, event_id=event_id)
        case error:
            return Admitted(rejection_id, Verdict.NOT_STORED, str(error))


def _chunks(found: Sequence[Rejection]) -> Iterator[list[Rejection]]:
    """What is admitted at a time."""
    chunk: list[Rejection] = []
    size = 0
    for rejection in found:
        size += rejection.bytes
        if chunk and (len(chunk) == _CHUNK or size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], rejection.bytes
        chunk.append(rejection)
    if chunk:
        yield chunk
