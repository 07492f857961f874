"""What the edge counts."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from time import perf_counter

from hookline.edge.answers import Answer
from hookline.edge.front.connections import Connections
from hookline.edge.http_method import told
from hookline.edge.intake import Intake
from hookline.edge.observation import Request
from hookline.edge.rejections.keeper import Rejections
from hookline.edge.schemes.verdict import Refusal
from hookline.edge.watch.notes import Noticed
from hookline.store.connections import readings
from hookline.telemetry import instruments
from hookline.telemetry.counts import Distribution
from hookline.telemetry.metrics import Metrics

UNKNOWN = "unknown"
"""What a source counts as that isn't configured: its name is the sender's."""
_ROUTE = "/v1/webhooks/{source}"
_USUAL = ("accepted", "duplicate", Refusal.BAD_SIGNATURE)
"""Outcomes whose series are there from the start, so that `rate()` sees the first of them."""
_ABANDONED = "abandoned"
_REFUSALS = frozenset(Refusal)


class EdgeMetrics:
    """The instruments of one edge.

    Args:
        metrics: Where it counts.
        sources: Names of those that are configured.
    """

    def __init__(self, metrics: Metrics, sources: Collection[str] = ()) -> None:
        self._metrics = metrics
        self._webhooks = metrics.counter(instruments.WEBHOOKS)
        self._failures = metrics.counter(instruments.VERIFICATION_FAILURES)
        self._durations = metrics.histogram(instruments.REQUEST_DURATION)
        self._batches = metrics.histogram(instruments.COMMIT_BATCH_SIZE).of()
        self._commits = metrics.histogram(instruments.COMMIT_DURATION).of()
        self._of_status: dict[tuple[str, int], Distribution] = {}
        for source in sources:
            for outcome in _USUAL:
                self._webhooks.of(source, outcome)
            self._failures.of(source, Refusal.BAD_SIGNATURE)

    def answered(self, request: Request, answer: Answer) -> None:
        """Count a request that was answered."""
        elapsed = perf_counter() - request.started
        source, outcome = request.source or UNKNOWN, answer.outcome
        self._webhooks.of(source, outcome).value += 1
        if outcome in _REFUSALS:
            self._failures.of(source, outcome).value += 1
        method = told(request.method)
        duration = self._of_status.get((method, answer.status))
        if duration is None:
            duration = self._durations.of(method, _ROUTE, str(answer.status))
            self._of_status[method, answer.status] = duration
        duration.record(elapsed, request.trace.traceparent)

    def abandoned(self, request: Request) -> None:
        """Count a request whose client went away. It has no duration: how long clients wait says nothing about us."""
        self._webhooks.of(request.source or UNKNOWN, _ABANDONED).value += 1

    def committed(self, events: int, seconds: float) -> None:
        """Count a commit of so many events."""
        self._batches.record(events)
        self._commits.record(seconds)

    def watch(self, intake: Intake, rejections: Rejections, noticed: Noticed) -> AbstractContextManager[None]:
        """Read what these know of themselves whenever metrics are collected, while the block runs."""
        return self._metrics.watching(
            {
                instruments.QUEUE_EVENTS: lambda: [((), intake.held_events)],
                instruments.QUEUE_BYTES: lambda: [((), intake.held_bytes)],
                instruments.REJECTIONS: lambda: [
                    (("written",), rejections.written),
                    (("dropped",), rejections.dropped_total),
                ],
                instruments.SCHEMA_FINDINGS: lambda: noticed.findings.copy().items(),
                instruments.SCHEMA_SKIPPED: lambda: [
                    ((source,), bodies) for source, bodies in noticed.skipped.copy().items()
                ],
                **readings("edge"),
            }
        )

    def watch_connections(self, connections: Connections) -> AbstractContextManager[None]:
        """The same for the connections of a front."""
        return self._metrics.watching(
            {
                instruments.CONNECTIONS: lambda: [((), connections.open)],
                instruments.CONNECTIONS_ENDED: lambda: [
                    ((cause,), ended) for cause, ended in connections.ended.copy().items()
                ],
            }
        )
