"""The OpenTelemetry SDK's part in metrics: it reads what was counted, for Prometheus when asked, for OTLP regularly."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    Exemplar,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    CardinalityLimits,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)

import hookline
from hookline.config import Telemetry
from hookline.telemetry import instruments, openmetrics
from hookline.telemetry.context import decode
from hookline.telemetry.counts import Distribution, Example, Values
from hookline.telemetry.instruments import Instrument
from hookline.telemetry.resource import resource
from hookline.telemetry.tracing import SCHEMA_URL

if TYPE_CHECKING:
    from hookline.telemetry.metrics import Metrics

OVERFLOW = {"otel.metric.overflow": True}
"""What the specification calls the series of all that is beyond the limit
(https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute)."""
_EXPORT_TIMEOUT = 2_000
"""Milliseconds: a dead collector must not hold anything up."""
_SHUTDOWN_TIMEOUT = 1_500
_SPARE = 2
"""The SDK keeps a place for every series that ever was. We keep to the limit ourselves, so it has room for as many new
names; after that, what is new counts as beyond the limit until the process starts again."""


class Readings:
    """Collects the metrics of one process.

    Args:
        metrics: What was counted.
        settings: How many series there may be, and how often they are sent.
        exporter: Sends them over OTLP; None: nobody does.
    """

    def __init__(self, metrics: "Metrics", settings: Telemetry, exporter: MetricExporter | None) -> None:
        self._metrics = metrics
        limits: CardinalityLimits = dict.fromkeys(
            (ObservableCounter, ObservableGauge, ObservableUpDownCounter),
            _SPARE * settings.max_label_values + 1,
        )
        self._scraped = InMemoryMetricReader(cardinality_limits=limits)
        readers: list[Any] = [self._scraped]
        if exporter is not None:
            readers.append(
                _Sent(
                    exporter,
                    self._with_histograms,
                    every=settings.metrics_interval.total_seconds(),
                    limits=limits,
                )
            )
        self.is_exporting = exporter is not None
        self._provider = MeterProvider(
            metric_readers=readers,
            resource=resource(metrics.service),
            exemplar_filter=AlwaysOffExemplarFilter(),  # only the histograms have some, and those are ours
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter("hookline", hookline.__version__, schema_url=SCHEMA_URL)
        for instrument in instruments.ALL:
            if instrument.kind != "histogram":
                self._register(meter, instrument)

    def __repr__(self) -> str:
        return f"<Readings of {self._metrics.service} exporting={self.is_exporting}>"

    def exposition(self) -> tuple[bytes, str]:
        """Read everything now, as OpenMetrics text."""
        data = self._scraped.get_metrics_data()
        assert data is not None, "there is always what telemetry dropped"
        return openmetrics.render(self._with_histograms(data, since=0)), openmetrics.MEDIA_TYPE

    def shutdown(self) -> None:
        """Send what is left, and end."""
        self._provider.shutdown(timeout_millis=_SHUTDOWN_TIMEOUT)

    def _register(self, meter: Meter, instrument: Instrument) -> None:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            return self._observe(instrument)

        create: dict[str, Callable[..., object]] = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        create[instrument.kind](
            instrument.name, callbacks=[read], unit=instrument.unit, description=instrument.description
        )

    def _observe(self, instrument: Instrument) -> Iterator[Observation]:
        counts = self._metrics.counters.get(instrument, ())
        for values, count in counts:
            yield Observation(count.value, _attributes(instrument, values))
        found = (one for read in self._metrics.readings.get(instrument, ()) for one in read())
        for values, number in islice(found, self._metrics.limit):
            yield Observation(number, _attributes(instrument, values))
        if beyond := [number for _, number in found]:
            # Of ages only the greatest says something about all.
            yield Observation(max(beyond) if instrument.unit == "s" else sum(beyond), OVERFLOW)

    def _with_histograms(self, data: MetricsData, *, since: int) -> MetricsData:
        """What the SDK has collected, and what it didn't count. With examples that are newer than `since`."""
        [of_process] = data.resource_metrics
        [scope] = of_process.scope_metrics
        ours = [
            Metric(
                instrument.name,
                instrument.description,
                instrument.unit,
                Histogram(
                    [_point(instrument, values, distribution, since) for values, distribution in family],
                    AggregationTemporality.CUMULATIVE,
                ),
            )
            for instrument, family in self._metrics.histograms.copy().items()
        ]
        whole = replace(
            scope, metrics=[*scope.metrics, *(metric for metric in ours if metric.data.data_points)]
        )
        return MetricsData([replace(of_process, scope_metrics=[whole])])


class _Sent(PeriodicExportingMetricReader):
    """Collects and sends regularly, in a thread of its own."""

    def __init__(
        self,
        exporter: MetricExporter,
        complete: Callable[..., MetricsData],
        *,
        every: float,
        limits: CardinalityLimits,
    ) -> None:
        self._complete = complete
        self._sent_at = 0
        super().__init__(
            exporter,
            export_interval_millis=every * 1000,
            export_timeout_millis=_EXPORT_TIMEOUT,
            cardinality_limits=limits,
        )

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        since, self._sent_at = self._sent_at, time_ns()
        super()._receive_metrics(self._complete(metrics_data, since=since), timeout_millis, **kwargs)


def _attributes(instrument: Instrument, values: Values | None) -> dict[str, Any]:
    if values is None:
        return dict(OVERFLOW)
    return dict(zip(instrument.labels, values, strict=True))


def _point(
    instrument: Instrument, values: Values | None, distribution: Distribution, since: int
) -> HistogramDataPoint:
    counts = distribution.counts.copy()
    return HistogramDataPoint(
        attributes=_attributes(instrument, values),
        start_time_unix_nano=distribution.since,
        time_unix_nano=time_ns(),
        count=sum(counts),
        sum=distribution.total,
        bucket_counts=counts,
        explicit_bounds=instrument.buckets,
        min=distribution.lowest,
        max=distribution.highest,
        exemplars=[
            _exemplar(example)
            for example in distribution.examples
            if example is not None and example.at > since
        ],
    )


def _exemplar(example: Example) -> Exemplar:
    context = decode(example.traceparent)
    return Exemplar(
        filtered_attributes={},
        value=example.value,
        time_unix_nano=example.at,
        span_id=context.span_id if context is not None else None,
        trace_id=context.trace_id if context is not None else None,
    )
