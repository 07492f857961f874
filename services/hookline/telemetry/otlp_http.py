"""OTLP over HTTP with protobuf bodies. Imported only where it is wanted."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.adapters import HTTPAdapter

from hookline.telemetry.collector import Collector

_MOST_POINTS = 5_000
"""In one request."""


class _Heard(HTTPAdapter):
    """Tells what the exporter of the SDK keeps to itself: why a request failed, and what was rejected."""

    def __init__(self, collector: Collector, rejected: Callable[[bytes], int]) -> None:
        super().__init__(max_retries=0)
        self._collector = collector
        self._rejected = rejected

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().send(*args, **kwargs)
        except requests.RequestException as error:
            self._collector.reason = type(error).__name__
            raise
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            self._collector.reason = f"HTTP {response.status_code}"
        if response.is_redirect:
            # The SDK takes it for a success, and does not follow.
            response.close()
            raise requests.TooManyRedirects
        if response.ok:
            # Some answer in JSON or with a greeting. They took it.
            with suppress(DecodeError):
                self._collector.rejected(self._rejected(response.content))
        return response


def http_span_exporter(endpoint: str, collector: Collector, timeout: float) -> OTLPSpanExporter:
    """Make an exporter for spans."""
    session = _Session(
        collector,
        lambda body: ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans,
    )
    return OTLPSpanExporter(endpoint=_url(endpoint, "traces"), timeout=timeout, session=session)


def http_metric_exporter(endpoint: str, collector: Collector, timeout: float) -> OTLPMetricExporter:
    """Make an exporter for metrics."""
    session = _Session(
        collector,
        lambda body: ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points,
    )
    return OTLPMetricExporter(
        endpoint=_url(endpoint, "metrics"),
        timeout=timeout,
        session=session,
        max_export_batch_size=_MOST_POINTS,
    )


def _url(endpoint: str, signal: str) -> str:
    """https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp."""
    return f"{endpoint.rstrip('/')}/v1/{signal}"


class _Session(requests.Session):
    def __init__(self, collector: Collector, rejected: Callable[[bytes], int]) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Heard(collector, rejected))

    def merge_environment_settings(self, *args: Any) -> Any:
        """Let OTEL_EXPORTER_OTLP_CERTIFICATE go before REQUESTS_CA_BUNDLE; requests does it the other way round."""
        merged = super().merge_environment_settings(*args)
        return merged if self.verify is True else {**merged, "verify": self.verify}
