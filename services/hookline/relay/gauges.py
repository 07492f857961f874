"""Measure all subscriptions in the database, now and then: also those that nobody serves."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from time import monotonic
from typing import NamedTuple

import structlog

from hookline.config import Retention
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import SubscriptionName
from hookline.relay.metrics import RelayMetrics
from hookline.store.connections import readings
from hookline.store.gauges import Lag, database_size, read_lags
from hookline.store.retention import held
from hookline.store.session import Session
from hookline.telemetry import instruments
from hookline.telemetry.counts import Values
from hookline.telemetry.instruments import Instrument
from hookline.telemetry.metrics import Metrics, Reading

_log = structlog.get_logger(__name__)

_EVERY = 15.0
"""Seconds between two measurements."""
_REST = 20
"""Times what a measurement took: whatever there is to measure, it takes a twentieth of one connection's time."""
_GOOD_FOR = 60.0
"""Seconds after which an old measurement is worse than none."""
_WITHIN = timedelta(seconds=10)


class Service(NamedTuple):
    """What one relay does for one subscription."""

    name: SubscriptionName
    in_flight: int
    """Deliveries in consumers' hands."""
    consumers: int
    shards: int


class Gauges:
    """What a relay tells of subscriptions: what the database says of all, and what the relay does for those it serves.

    Args:
        session: Its own; closed at the end.
        metrics: Where they can be read.
        counts: Told of all subscriptions, so that their counters are there before anything is counted.
        serving: Answers what this relay serves now.
        keep: What of the log is old.
    """

    def __init__(
        self,
        session: Session,
        metrics: Metrics,
        counts: RelayMetrics,
        serving: Callable[[], list[Service]],
        keep: Retention,
    ) -> None:
        self._session = session
        self._metrics = metrics
        self._counts = counts
        self._serving = serving
        self._lags: list[Lag] = []
        self._size: int | None = None
        self._keep = keep
        self._log: tuple[int, float] | None = None
        """Its segments, and the age of what of it is held."""
        self._measured_at = -_GOOD_FOR

    def __repr__(self) -> str:
        return f"<Gauges of {len(self._lags)} subscriptions>"

    async def run(self) -> None:
        """Measure until cancelled."""
        try:
            with self._metrics.watching(self._readings()):
                while True:
                    begun = monotonic()
                    await self._measure()
                    await asyncio.sleep(max(_EVERY, _REST * (monotonic() - begun)))
        finally:
            await self._session.close()

    async def _measure(self) -> None:
        try:
            self._lags = await read_lags(self._session, within=_WITHIN)
            self._size = await database_size(self._session, within=_WITHIN)
            self._log = await held(self._session, self._keep, within=_WITHIN)
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("subscriptions not measured", reason=str(error))
            if monotonic() - self._measured_at > _GOOD_FOR:
                self._lags, self._size, self._log = [], None, None
        else:
            self._measured_at = monotonic()
            # What is served may be newer than the measurement.
            self._counts.know({*self._names(), *(service.name for service in self._serving())})

    def _readings(self) -> dict[Instrument, Reading]:
        def of_all(read: Callable[[Lag], float]) -> Reading:
            return lambda: [((lag.name,), read(lag)) for lag in self._lags]

        def of_served(read: Callable[[Service], int]) -> Reading:
            def values() -> Iterable[tuple[Values, float]]:
                served = {service.name: read(service) for service in self._serving()}
                # Zero, so that a subscription that nobody serves can be told from one that nobody knows.
                return [((name,), served.get(name, 0)) for name in dict.fromkeys([*self._names(), *served])]

            return values

        return {
            instruments.BACKLOG: of_all(lambda lag: lag.backlog),
            instruments.OLDEST_UNACKED_AGE: of_all(lambda lag: lag.oldest_unacked_age),
            instruments.RETRIES_WAITING: of_all(lambda lag: lag.retries_waiting),
            instruments.KEYS_BLOCKED: of_all(lambda lag: lag.keys_blocked),
            instruments.DEAD: of_all(lambda lag: lag.dead),
            instruments.IN_FLIGHT: of_served(lambda service: service.in_flight),
            instruments.CONSUMERS: of_served(lambda service: service.consumers),
            instruments.SHARDS_OWNED: of_served(lambda service: service.shards),
            instruments.DATABASE_SIZE: lambda: [] if self._size is None else [((), self._size)],
            instruments.OUTBOX_SEGMENTS: lambda: [] if self._log is None else [((), self._log[0])],
            instruments.OUTBOX_HELD_AGE: lambda: [] if self._log is None else [((), self._log[1])],
            **readings("relay"),
        }

    def _names(self) -> list[SubscriptionName]:
        return [lag.name for lag in self._lags]
