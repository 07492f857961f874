"""Exporters that never raise, and report how each export ends."""

from collections.abc import Sequence
from typing import Any

import structlog
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from hookline.telemetry import dropped
from hookline.telemetry.collector import Collector
from hookline.telemetry.failure import report

_log = structlog.get_logger(__name__)


class ReportingSpanExporter(SpanExporter):
    """Exports spans. Those that fail are counted by its caller, who may also give up on it."""

    def __init__(self, exporter: SpanExporter, collector: Collector) -> None:
        self._exporter = exporter
        self._collector = collector
        self._is_shut = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Whether they arrived."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  (the thread that exports must live on)
            if not self._is_shut:
                report(_log, "spans could not be exported", error)
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._collector.took()
        elif not self._is_shut:
            self._collector.failed(len(spans))
        return result

    def shutdown(self) -> None:
        """End also what is under way."""
        self._is_shut = True
        self._exporter.shutdown()


class ReportingMetricExporter(MetricExporter):
    """Exports metrics, and counts points that fail."""

    def __init__(self, exporter: MetricExporter, collector: Collector) -> None:
        # A reader takes both from its exporter; that is how OTEL_EXPORTER_OTLP_METRICS_… reaches it.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001
        self._exporter = exporter
        self._collector = collector
        self._is_shut = False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Whether they arrived."""
        try:
            result = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        except Exception as error:  # noqa: BLE001  (the thread that exports must live on)
            if not self._is_shut:
                report(_log, "metrics could not be exported", error)
            result = MetricExportResult.FAILURE
        if result is MetricExportResult.SUCCESS:
            self._collector.took()
        else:
            points = _points(metrics_data)
            dropped.count("metric", points)
            if not self._is_shut:
                self._collector.failed(points)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept here."""
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """End also what is under way."""
        self._is_shut = True
        self._exporter.shutdown(timeout_millis, **kwargs)


def _points(metrics_data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in metrics_data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
