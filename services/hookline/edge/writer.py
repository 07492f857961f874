"""One connection that commits: takes whatever is queued for its shards the moment it is free."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from time import monotonic
from uuid import UUID

import structlog
from opentelemetry.trace import Span, Tracer

from hookline.edge.batch_trace import batch_span
from hookline.errors import DatabaseUnavailable, IntakeUnavailable, StatementRefused
from hookline.model import NewEvent, Outcome
from hookline.store.ingest import ensure_segments, ingest
from hookline.store.session import Session
from hookline.telemetry.failure import report
from hookline.telemetry.trace_fields import trace_fields

_log = structlog.get_logger(__name__)

MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of bodies in one transaction, unless a single body is larger."""
OUTAGE_PATIENCE = 1.0
"""Seconds that queued events wait for a lost database before they are refused: a failover or a restart of Postgres
costs latency, a longer outage a 503."""
_RETRY_PAUSE = 0.1
"""Seconds between two attempts to reach a lost database."""
_NO_SEGMENT = "23514"
"""SQLSTATE when no outbox segment takes a seq."""

Ticket = tuple[NewEvent, "asyncio.Future[Outcome]", Span | None]
"""An event, the promise to say what became of it, and the span of its commit if it is traced."""


class Writer:
    """Commits the events of its shards, batch after batch, in order of arrival."""

    def __init__(
        self,
        session: Session,
        tracer: Tracer,
        *,
        commit_deadline: timedelta,
        on_commit: Callable[[int, float], None],
    ) -> None:
        self._session = session
        self._tracer = tracer
        self._commit_deadline = commit_deadline
        self._on_commit = on_commit
        self._queue: deque[Ticket] = deque()
        self.held_events = 0
        """Events that wait or are being committed, also those whose requests gave up."""
        self.held_bytes = 0
        """Bytes of their bodies."""
        self._wake = asyncio.Event()
        self._lost_at: float | None = None

    def __repr__(self) -> str:
        return f"<Writer events={self.held_events} bytes={self.held_bytes} available={self.is_available}>"

    @property
    def is_available(self) -> bool:
        """False once the database has been lost for longer than events are made to wait."""
        return self._lost_at is None or monotonic() - self._lost_at < OUTAGE_PATIENCE

    def add(self, ticket: Ticket) -> None:
        """Queue an event."""
        self._queue.append(ticket)
        self.held_events += 1
        self.held_bytes += len(ticket[0].body)
        self._wake.set()

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
            batch = self._take()
            if not batch:
                continue
            try:
                await self._settle(batch)
            except Exception as error:  # noqa: BLE001
                # A mistake of ours must not end the writer, and with it every later webhook of its shards.
                report(_log, "a batch failed unexpectedly", error, events=len(batch))
                self._refuse(batch, "internal error")
            finally:
                self._let_go(batch)

    def _take(self) -> list[Ticket]:
        """The next batch. Of events with one id or lineage only the first: the next must see it committed."""
        batch: list[Ticket] = []
        lineages: set[UUID] = set()
        size = 0
        while self._queue and len(batch) < MAX_BATCH_EVENTS:
            event, future, _ = self._queue[0]
            if future.done():  # its request gave up: nobody would learn of the commit
                self._let_go([self._queue.popleft()])
                continue
            size += len(event.body)
            if event.lineage in lineages or (batch and size > MAX_BATCH_BYTES):
                break
            lineages.add(event.lineage)
            batch.append(self._queue.popleft())
        return batch

    async def _settle(self, batch: list[Ticket]) -> None:
        """Commit a batch and tell its requests; try again while the database is only briefly away.

        Trying again is safe whatever became of the last try: what it committed is a duplicate now.
        """
        begun = monotonic()
        while batch:
            started = monotonic()
            try:
                outcomes = await self._commit(batch)
            except DatabaseUnavailable as error:
                batch = await self._wait_out(batch, error, started)
            except StatementRefused as error:
                self._found()
                await self._isolate(batch, error)
                return
            else:
                self._found()
                for (_, future, _), outcome in zip(batch, outcomes, strict=True):
                    if not future.done():
                        future.set_result(outcome)
                self._on_commit(len(batch), monotonic() - begun)
                return
        # Nobody waits for an answer any more, so no next batch would find out that the database is back.
        await self._reconnect()

    async def _commit(self, batch: list[Ticket]) -> list[Outcome]:
        with batch_span(self._tracer, [span for *_, span in batch if span is not None], events=len(batch)):
            return await self._ingest([event for event, *_ in batch])

    async def _ingest(self, events: Sequence[NewEvent]) -> list[Outcome]:
        try:
            return await ingest(self._session, events, within=self._commit_deadline)
        except StatementRefused as error:
            if error.sqlstate != _NO_SEGMENT:
                raise
        await ensure_segments(self._session, within=self._commit_deadline)
        return await ingest(self._session, events, within=self._commit_deadline)

    async def _isolate(self, batch: list[Ticket], error: StatementRefused) -> None:
        """Keep one event that Postgres refuses from taking its neighbours with it."""
        if len(batch) == 1:
            event = batch[0][0]
            _log.error(
                "an event could not be stored",
                reason=str(error),
                event_id=str(event.event_id),
                **trace_fields(event.traceparent),
            )
            self._refuse(batch, str(error))
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    async def _wait_out(
        self, batch: list[Ticket], error: DatabaseUnavailable, started: float
    ) -> list[Ticket]:
        """Answer what is to be tried again.

        After a short outage that is what is still waited for; after a longer one nothing, and all are refused.
        """
        if self._lost_at is None:
            self._lost_at = started
            _log.warning("database lost", reason=str(error))
        if self.is_available:
            await asyncio.sleep(_RETRY_PAUSE)
            return [ticket for ticket in batch if not ticket[1].done()]
        self._refuse([*batch, *self._queue], str(error))
        self._let_go(self._queue)
        self._queue.clear()
        return []

    async def _reconnect(self) -> None:
        """Come back as soon as the database does."""
        while self._lost_at is not None:
            try:
                await self._session.fetch("SELECT 1", within=self._commit_deadline)
            except (DatabaseUnavailable, StatementRefused):
                await asyncio.sleep(_RETRY_PAUSE)
            else:
                self._found()

    def _found(self) -> None:
        if self._lost_at is not None:
            self._lost_at = None
            _log.info("database found again")

    def _let_go(self, tickets: Iterable[Ticket]) -> None:
        for event, *_ in tickets:
            self.held_events -= 1
            self.held_bytes -= len(event.body)

    def _refuse(self, batch: list[Ticket], reason: str) -> None:
        for _, future, _ in batch:
            if not future.done():
                future.set_exception(IntakeUnavailable(reason))
