"""Metrics as OpenMetrics text (https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).

The exporter for Prometheus that comes with OpenTelemetry leaves out exemplars, and only this format has them.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    Sum,
)

from hookline.telemetry.instruments import family_of, label_of

MEDIA_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NANOSECONDS = 1e9


def render(data: MetricsData) -> bytes:
    """Write all metrics of one process."""
    lines: list[str] = []
    for resource in data.resource_metrics:
        lines += (
            "# HELP target Who sends these metrics.",
            "# TYPE target info",
            f"target_info{_labels(resource.resource.attributes)} 1",
        )
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                lines += _metric(metric)
    lines.append("# EOF\n")
    return "\n".join(lines).encode()


def _metric(metric: Metric) -> Iterator[str]:
    family, unit = family_of(metric.name, metric.unit or "")
    data = metric.data
    is_counter = isinstance(data, Sum) and data.is_monotonic
    kind = "histogram" if isinstance(data, Histogram) else "counter" if is_counter else "gauge"
    yield f"# HELP {family} {_escape(metric.description or '')}"
    yield f"# TYPE {family} {kind}"
    if unit:
        yield f"# UNIT {family} {unit}"
    if isinstance(data, Histogram):
        for point in data.data_points:
            yield from _histogram(family, point)
    elif isinstance(data, (Sum, Gauge)):
        sample = f"{family}_total" if is_counter else family
        for number in data.data_points:
            yield f"{sample}{_labels(number.attributes)} {number.value}"


def _histogram(family: str, point: HistogramDataPoint) -> Iterator[str]:
    bounds = [*map(float, point.explicit_bounds), float("inf")]
    examples = {_bucket(bounds, example.value): _exemplar(example) for example in point.exemplars}
    labels = _labels(point.attributes)
    before = f"{family}_bucket{{{labels[1:-1]}," if labels else f"{family}_bucket{{"
    for number, (bound, count) in enumerate(zip(bounds, accumulate(point.bucket_counts), strict=True)):
        upper = "+Inf" if bound == bounds[-1] else bound
        yield f'{before}le="{upper}"}} {count}{examples.get(number, "")}'
    yield f"{family}_count{labels} {point.count}"
    yield f"{family}_sum{labels} {point.sum}"


def _bucket(bounds: list[float], value: float) -> int:
    return next(number for number, bound in enumerate(bounds) if value <= bound)


def _exemplar(exemplar: Exemplar) -> str:
    if exemplar.trace_id is None or exemplar.span_id is None:
        return ""
    ids = f'trace_id="{exemplar.trace_id:032x}",span_id="{exemplar.span_id:016x}"'
    return f" # {{{ids}}} {exemplar.value} {exemplar.time_unix_nano / _NANOSECONDS:.3f}"


def _labels(attributes: Mapping[str, object] | None) -> str:
    if not attributes:
        return ""
    return "{" + ",".join([f'{label_of(name)}="{_text(value)}"' for name, value in attributes.items()]) + "}"


def _text(value: object) -> str:
    return _escape(str(value).lower() if isinstance(value, bool) else str(value))


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
