"""Ended spans on their way to the exporter: bounded, never waited for, and what is dropped is counted.

Instead of the SDK's BatchSpanProcessor, which tells nobody what it drops, logs each dropped span on the way of the
request, goes from one failed export to the next without a pause, and waits up to 30 s for its end.
"""

import threading
from collections import deque
from datetime import timedelta
from time import monotonic

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from hookline.telemetry import dropped

_DEADLINE = timedelta(seconds=1.5)
_CANCEL = 0.2
"""Seconds for an export to notice that its exporter was shut down."""
_PROBE = 16
"""How many spans go first, and again after a failure: to encode them takes the interpreter from everybody else."""


class SpanQueue(SpanProcessor):
    """Exports spans from a thread of its own.

    Args:
        exporter: Where they go.
        capacity: How many may wait; a span that comes then is dropped.
        batch: How many go at once.
        delay: How long they wait for others.
        rest: How long nothing is exported after a failure: to encode what nobody takes costs the process as much
            as its work does.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        # About 3.2 kB each while they wait.
        capacity: int = 2048,
        batch: int = 512,
        delay: timedelta = timedelta(seconds=0.5),
        rest: timedelta = timedelta(seconds=1),
    ) -> None:
        self._exporter = exporter
        self._capacity = capacity
        self._batch = batch
        self._delay = delay.total_seconds()
        self._rest = rest.total_seconds()
        self._spans: deque[ReadableSpan] = deque()
        self._under_way = 0
        self._arrived = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ends_at = 0.0
        # A daemon: if the collector never answers, the process ends without it.
        self._thread = threading.Thread(target=self._work, name="span export", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span: an append, and nothing that waits."""
        if not span.context or not span.context.trace_flags.sampled:
            return
        waiting = len(self._spans)
        if waiting >= self._capacity or self._stop.is_set():
            dropped.count("span")
            return
        self._spans.append(span)
        if waiting + 1 == self._batch:
            self._wake.set()

    def shutdown(self) -> None:
        """Export what is left, within 1.7 s; count what doesn't make it."""
        if self._stop.is_set():
            return
        self._ends_at = monotonic() + _DEADLINE.total_seconds()
        self._stop.set()
        self._wake.set()
        self._thread.join(_DEADLINE.total_seconds())
        self._exporter.shutdown()
        self._thread.join(_CANCEL)
        left, self._under_way = len(self._spans) + self._under_way, 0
        self._spans.clear()
        dropped.count("span", left)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: what is left goes at the end."""
        del timeout_millis
        return True

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._delay)
            self._wake.clear()
            least = 1
            while len(self._spans) >= least and not self._stop.is_set():
                if self._export():
                    least = self._batch
                else:
                    self._stop.wait(self._rest)
                    least = 1
        while self._spans and monotonic() < self._ends_at and self._export():
            pass

    def _export(self) -> bool:
        """Whether the oldest spans arrived."""
        most = self._batch if self._arrived else _PROBE
        batch = [self._spans.popleft() for _ in range(min(most, len(self._spans)))]
        self._under_way = len(batch)
        self._arrived = self._exporter.export(batch) is SpanExportResult.SUCCESS
        # Zero once shutdown has given up on them, and counted them.
        if not self._arrived:
            dropped.count("span", self._under_way)
        self._under_way = 0
        return self._arrived
