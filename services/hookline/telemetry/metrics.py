"""What is counted and measured, for Prometheus and OTLP."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from hookline.config import Telemetry
from hookline.telemetry import dropped, export, instruments
from hookline.telemetry.counts import Count, Distribution, Family, Values
from hookline.telemetry.instruments import Instrument

if TYPE_CHECKING:
    from hookline.telemetry.readings import Readings

_SHUTDOWN_DEADLINE = timedelta(seconds=1.5)

Reading = Callable[[], Iterable[tuple[Values, float]]]
"""Reads something now: label values in the instrument's order, and the value. May be called by any thread."""


class Metrics:
    """The metrics of one process.

    Each is there with its first series. Who wants `rate()` to see the first event asks for the series at the start.
    Nothing of the SDK is loaded until somebody looks: without an OTLP endpoint and a scrape, counting is all there is.

    Args:
        settings: Where metrics go, and how many series one may have.
        service: Names the process: `service.name`.
    """

    def __init__(self, settings: Telemetry, *, service: str) -> None:
        self._settings = settings
        self.service = service
        self.counters: dict[Instrument, Family[Count]] = {}
        self.histograms: dict[Instrument, Family[Distribution]] = {}
        self.readings: dict[Instrument, list[Reading]] = {}
        self._readings: Readings | None = None
        self._has_ended = False
        self._beginning = threading.Lock()
        self.watch(
            instruments.TELEMETRY_DROPPED,
            lambda: [((signal,), count) for signal, count in dropped.counts().items()],
        )
        if export.endpoint(settings) is not None:
            self._read()

    def __repr__(self) -> str:
        return (
            f"<Metrics of {self.service}: {len(self.counters) + len(self.histograms) + len(self.readings)}>"
        )

    def counter(self, instrument: Instrument) -> Family[Count]:
        """What counts for a counter; the same one each time."""
        if instrument not in self.counters:
            self.counters[instrument] = Family(instrument, Count, limit=self.limit)
        return self.counters[instrument]

    def histogram(self, instrument: Instrument) -> Family[Distribution]:
        """What measures for a histogram; the same one each time."""
        if instrument not in self.histograms:
            self.histograms[instrument] = Family(
                instrument, lambda: Distribution(instrument.buckets), limit=self.limit
            )
        return self.histograms[instrument]

    def watch(self, instrument: Instrument, reading: Reading) -> None:
        """Have something read whenever metrics are collected."""
        self.readings.setdefault(instrument, []).append(reading)

    @contextlib.contextmanager
    def watching(self, readings: Mapping[Instrument, Reading]) -> Iterator[None]:
        """The same for several things, while the block runs."""
        for instrument, reading in readings.items():
            self.watch(instrument, reading)
        try:
            yield
        finally:
            for instrument, reading in readings.items():
                self.readings[instrument].remove(reading)

    @property
    def limit(self) -> int:
        """How many series one instrument may have."""
        return self._settings.max_label_values

    def exposition(self) -> tuple[bytes, str]:
        """All of it in OpenMetrics text, which Prometheus reads, and that format's media type; in any thread."""
        return self._read().exposition()

    async def shutdown(self) -> None:
        """Send what is left, within a deadline: the exporter's own shutdown may take much longer."""
        readings, self._readings, self._has_ended = self._readings, None, True
        if readings is None or not readings.is_exporting:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def flush() -> None:
            readings.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        # A daemon thread: if the collector never answers, the process ends without it.
        threading.Thread(target=flush, name="metric flush", daemon=True).start()
        try:
            async with asyncio.timeout(_SHUTDOWN_DEADLINE.total_seconds()):
                await done.wait()
        except TimeoutError:
            pass

    def _read(self) -> "Readings":
        from hookline.telemetry.readings import Readings  # noqa: PLC0415  (it brings all of the SDK)

        with self._beginning:
            if self._readings is None:
                exporter = None if self._has_ended else export.metric_exporter(self._settings)
                self._readings = Readings(self, self._settings, exporter)
            return self._readings
