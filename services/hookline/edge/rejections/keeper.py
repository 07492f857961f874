"""Keep what was refused, for people: beside the path of the webhooks, and never at their cost.

A refused request is handed over in microseconds and written in batches later. What is too much is counted and not
kept: beyond a source's rate, beyond the room of the queue, while the database is away. So an attacker neither slows an
answer nor fills memory or disk, and genuine webhooks don't notice.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import chain
from time import monotonic
from types import MappingProxyType
from typing import NamedTuple
from uuid import uuid4

import structlog

from hookline import config
from hookline.core.token_bucket import TokenBucket
from hookline.edge.rejections.mask import Mask, mask_method, mask_target
from hookline.edge.rejections.original import seal
from hookline.edge.rejections.rejection import Omitted, Rejection
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.sealing import Sealer
from hookline.store import rejections as store
from hookline.store.rejections import Bounds, NewRejection
from hookline.store.session import Session
from hookline.telemetry.failure import report

_log = structlog.get_logger(__name__)

MAX_QUEUED = 1_000
"""Rejections that wait to be written."""
MAX_QUEUED_BYTES = 16 * 1024 * 1024
"""Of their requests."""
MAX_BATCH = 100
_MAX_BATCH_BYTES = 8 * 1024 * 1024
_GATHER = 0.2
"""Seconds that a rejection waits for others to be written with it."""
_OUTAGE_PATIENCE = 10.0
"""Seconds that a batch waits for a lost database, as after a failover, before it is dropped."""
_RETRY_PAUSE = 0.5
_SUMMARY = 10.0
"""Seconds between two log lines about what was dropped."""
_SUMMARY_ENTRIES = 20
_TRIM = 60.0
"""Seconds between two looks for what is too old."""
_FLUSH = 2.0
"""Seconds for what still waits when the edge stops."""
_WITHIN = timedelta(seconds=5)
_IN_THREAD = 64 * 1024
"""Bytes of a request from which sealing it would be felt by those that are being answered."""
_OVERHEAD = 500
"""Bytes of a rejection beside its request."""


class Limits(NamedTuple):
    """How much of one source is kept."""

    rate: float
    """A second, in the long run, by this edge."""
    burst: int
    bounds: Bounds

    @classmethod
    def of(cls, settings: config.Rejections) -> "Limits":
        """Those that are configured for every source."""
        bounds = Bounds(settings.max_count, settings.max_bytes, settings.max_age)
        return cls(settings.rate, settings.burst, bounds)


class _Source:
    """What is kept of one source, and how."""

    __slots__ = ("bounds", "bucket", "mask")

    def __init__(self, limits: Limits, mask: Mask) -> None:
        self.bucket = TokenBucket(rate=limits.rate, burst=limits.burst, now=monotonic())
        self.bounds = limits.bounds
        self.mask = mask


class _Waiting(NamedTuple):
    """A rejection in the queue."""

    rejection: Rejection
    omitted: Omitted | None
    size: int
    """What it counts for in the queue."""


class Rejections:
    """Keeps refused requests of configured sources.

    Args:
        session: To the database, for this alone; closed at the end.
        settings: What is kept of each source.
        sources: Names of those that are configured. What is sent to another name is only counted, under "": names
            that senders make up must not become many.
        sealer: Seals the requests. None: they can't be kept whole.
        limits: Of sources that have their own.
        masks: Of sources whose secrets are in headers with innocent names.
    """

    def __init__(
        self,
        session: Session,
        settings: config.Rejections,
        *,
        sources: Collection[str],
        sealer: Sealer | None,
        limits: Mapping[str, Limits] = MappingProxyType({}),
        masks: Mapping[str, Mask] = MappingProxyType({}),
    ) -> None:
        self._session = session
        self._enabled = settings.enabled
        self._sealer = sealer
        self._omit_all = _omit_all(settings, sealer)
        self._usual = Limits.of(settings)
        self._sources = {
            name: _Source(limits.get(name, self._usual), masks.get(name) or Mask()) for name in sources
        }
        self._queue: deque[_Waiting] = deque()
        self._batch: list[tuple[_Waiting, NewRejection]] = []
        self._held_bytes = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._lost_at: float | None = None
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._told: Counter[tuple[str, str]] = Counter()
        self._dropped_total = 0
        self.written = 0
        """How many were committed."""

    def __repr__(self) -> str:
        waiting = len(self._queue) + len(self._batch)
        return f"<Rejections waiting={waiting} bytes={self._held_bytes} dropped={self._dropped.total()}>"

    @property
    def dropped(self) -> Mapping[tuple[str, str], int]:
        """How many weren't kept, by source and cause, since the start."""
        return self._dropped

    @property
    def dropped_total(self) -> int:
        """How many weren't kept, since the start."""
        return self._dropped_total

    @property
    def held_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._held_bytes

    def keep(self, rejection: Rejection) -> None:
        """Have it written soon, or count it. Returns at once and never raises."""
        try:
            if self._enabled and not self._take(rejection):
                self._drop(rejection)
        except Exception as error:  # noqa: BLE001
            # The refusal must be answered whatever we think of it.
            report(_log, "a rejection failed unexpectedly", error, cause=rejection.cause)

    def count(self, source: str, cause: str) -> None:
        """Only count a refused request. A source that isn't configured is counted as "": its name is the sender's."""
        self._dropped[source if source in self._sources else "", cause] += 1
        self._dropped_total += 1

    async def run(self) -> None:
        """Write until cancelled, then write what still waits, for two seconds at most."""
        if not self._enabled:
            await self._session.close()
            return
        if self._omit_all is Omitted.NO_KEY:
            _log.warning(
                "rejections are kept without their requests and can't be admitted later: there is no key to seal them "
                'with; set keys in [secrets], or say rejections.body = "omit"'
            )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                tasks.create_task(self._trim())
                tasks.create_task(self._tell())
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH):
                    await self._flush()
            for waiting in [*(waiting for waiting, _ in self._batch), *self._queue]:
                self._drop(waiting.rejection)
            self._tell_dropped()
            await self._session.close()

    def _take(self, rejection: Rejection) -> bool:
        """Queue it, without its request if that can't be kept; False if there is no room at all."""
        source = self._sources.get(rejection.source)
        if source is None or not source.bucket.take(monotonic()):
            return False
        if len(self._queue) + len(self._batch) >= MAX_QUEUED:
            return False
        incoming = rejection.incoming
        head = _OVERHEAD + len(incoming.url) + sum(map(len, chain.from_iterable(incoming.headers)))
        whole = head + len(incoming.body)
        omitted = self._omit_all
        if not rejection.is_whole:
            omitted = Omitted.NOT_READ
        elif omitted is None and whole > source.bounds.max_bytes // 2:
            omitted = Omitted.TOO_LARGE
        elif omitted is None and self._held_bytes + whole > MAX_QUEUED_BYTES:
            omitted = Omitted.OVER_BUDGET
        size = whole if omitted is None else head
        if self._held_bytes + size > MAX_QUEUED_BYTES:
            return False
        if omitted is not None and incoming.body:
            rejection = rejection._replace(incoming=incoming._replace(body=b""))
        self._queue.append(_Waiting(rejection, omitted, size))
        self._held_bytes += size
        self._wake.set()
        if len(self._queue) >= MAX_BATCH:
            self._full.set()
        return True

    def _drop(self, rejection: Rejection) -> None:
        self.count(rejection.source, rejection.cause)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._full.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER):
                    await self._full.wait()
            await self._flush()

    async def _flush(self) -> None:
        """Write all that waits. A batch stays where it is until its fate is known, so this may be cancelled."""
        while self._queue or self._batch:
            try:
                await self._fill_batch()
                await self._commit(self._batch)
            except Exception as error:  # noqa: BLE001
                # A mistake of ours must not end the writer.
                report(_log, "rejections failed unexpectedly", error, rejections=len(self._batch))
                self._drop_batch(self._batch)
            self._held_bytes -= sum(waiting.size for waiting, _ in self._batch)
            self._batch = []

    async def _fill_batch(self) -> None:
        size = sum(waiting.size for waiting, _ in self._batch)
        while self._queue and len(self._batch) < MAX_BATCH:
            waiting = self._queue[0]
            size += waiting.size
            if self._batch and size > _MAX_BATCH_BYTES:
                return
            try:
                if waiting.size > _IN_THREAD:
                    row = await asyncio.to_thread(self._row, waiting)
                else:
                    row = self._row(waiting)
                    # Requests come first, between any two of these.
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001
                report(_log, "a rejection failed unexpectedly", error, cause=waiting.rejection.cause)
                self._queue.popleft()
                self._held_bytes -= waiting.size
                self._drop(waiting.rejection)
                continue
            self._queue.popleft()
            self._batch.append((waiting, row))

    def _row(self, waiting: _Waiting) -> NewRejection:
        """Mask and seal: what costs time."""
        rejection = waiting.rejection
        rejection_id = uuid4()
        original = None
        if waiting.omitted is None:
            assert self._sealer is not None, "without a sealer every original is omitted"
            original = seal(self._sealer, rejection_id, rejection.source, rejection.incoming)
        return NewRejection(
            id=rejection_id,
            received_at=rejection.received_at,
            size=rejection.size,
            status=rejection.status,
            source=rejection.source,
            cause=rejection.cause,
            method=mask_method(rejection.incoming.method),
            target=mask_target(rejection.incoming.url),
            omitted=waiting.omitted or "",
            headers=self._sources[rejection.source].mask.headers(rejection.incoming.headers),
            original=original,
        )

    async def _commit(self, batch: list[tuple[_Waiting, NewRejection]]) -> None:
        """Write a batch; wait for a database that is only briefly away."""
        while batch:
            started = monotonic()
            try:
                await store.keep(self._session, [row for _, row in batch], self._bounds(), within=_WITHIN)
            except DatabaseUnavailable as error:
                if self._lost_at is None:
                    self._lost_at = started
                    _log.warning("rejections wait for the database", reason=str(error))
                if monotonic() - self._lost_at >= _OUTAGE_PATIENCE:
                    self._drop_batch(batch)
                    return
                await asyncio.sleep(_RETRY_PAUSE)
            except StatementRefused as error:
                if len(batch) == 1:
                    _log.error("a rejection could not be stored", reason=str(error), cause=batch[0][1].cause)
                    self._drop_batch(batch)
                    return
                # One that Postgres refuses must not take the others with it.
                for one in batch:
                    await self._commit([one])
                return
            else:
                self._lost_at = None
                self.written += len(batch)
                return

    def _bounds(self) -> dict[str, Bounds]:
        return {name: source.bounds for name, source in self._sources.items()}

    def _drop_batch(self, batch: list[tuple[_Waiting, NewRejection]]) -> None:
        for waiting, _ in batch:
            self._drop(waiting.rejection)

    async def _trim(self) -> None:
        """Remove what is too old, also of sources that nothing comes for, or that aren't configured any more."""
        while True:
            with suppress(DatabaseUnavailable, StatementRefused):
                bounds = self._bounds()
                for name in await store.sources(self._session, within=_WITHIN):
                    await store.trim(
                        self._session, name, bounds.get(name, self._usual.bounds), within=_WITHIN
                    )
            await asyncio.sleep(_TRIM)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_SUMMARY)
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        """One line for all that was dropped since the last."""
        news = self._dropped - self._told
        if news:
            by = {
                f"{source or '?'} {cause}": count
                for (source, cause), count in news.most_common(_SUMMARY_ENTRIES)
            }
            _log.warning("rejections not kept", rejections=news.total(), by=by)
            self._told = self._dropped.copy()


def _omit_all(settings: config.Rejections, sealer: Sealer | None) -> Omitted | None:
    if settings.body == "omit":
        return Omitted.POLICY
    return Omitted.NO_KEY if sealer is None else None
