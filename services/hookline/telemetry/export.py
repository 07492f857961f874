"""Exporters for OTLP: where to, in which protocol, and whether what is said about it can be used.

Headers, certificates and compression come from the OTEL_EXPORTER_OTLP_ variables, as the SDK reads them
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/). What is wrong in them is refused here: the SDK would
log it, headers included, and go on without.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from hookline.config import Telemetry
from hookline.errors import ConfigError
from hookline.telemetry.collector import Collector

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

_TIMEOUT = 2.0
"""Seconds that one export may take with all its retries: a dead collector must not hold anything up."""
_COMPRESSIONS = {"grpc": {"", "gzip"}, "http/protobuf": {"", "none", "gzip", "deflate"}}
"""By protocol; "" is what an unset variable says."""
_VARIABLES = ("OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_METRICS_")
_SILENCED = "opentelemetry.exporter"
"""The logger of the SDK's exporters: a line or a stack trace for each retry. `Collector` tells instead."""


def endpoint(settings: Telemetry) -> str | None:
    """Where spans and metrics go; None: nowhere.

    Raises:
        ConfigError: It is no http:// or https:// address.
    """
    name, found = "telemetry.otlp_endpoint", settings.otlp_endpoint
    if not found:
        name, found = "OTEL_EXPORTER_OTLP_ENDPOINT", _variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not found or _variable("OTEL_SDK_DISABLED").lower() == "true":
        return None
    url = _split(found)
    # The address itself isn't quoted: there may be a password in it.
    if url is None:
        raise ConfigError(
            f"{name} is no address that OTLP can go to: it begins with http:// (plain) or https:// (TLS), such as"
            " http://localhost:4317 for grpc, or http://localhost:4318 for http/protobuf"
        )
    if url.username is not None:
        raise ConfigError(
            f"{name} has a user or a password in it: take it out, and put what the collector wants to see into"
            " OTEL_EXPORTER_OTLP_HEADERS"
        )
    return found


def span_exporter(settings: Telemetry) -> "SpanExporter | None":
    """Make an exporter for spans; None if they go nowhere.

    It counts spans that the collector rejects. Those whose export fails are its caller's to count.

    Raises:
        ConfigError: Endpoint, protocol or one of the OTEL_EXPORTER_OTLP_ variables can't be used.
    """
    target = endpoint(settings)
    if target is None or _variable("OTEL_TRACES_EXPORTER") == "none":
        return None
    collector = _collector("span", target)
    protocol = _protocol(settings)
    from hookline.telemetry.reporting import ReportingSpanExporter  # noqa: PLC0415  (brings the SDK)

    if protocol == "grpc":
        from hookline.telemetry.otlp_grpc import GrpcSpanExporter  # noqa: PLC0415  (brings all of gRPC)

        return ReportingSpanExporter(GrpcSpanExporter(target, collector, _TIMEOUT), collector)
    from hookline.telemetry.otlp_http import http_span_exporter  # noqa: PLC0415  (brings requests)

    return ReportingSpanExporter(http_span_exporter(target, collector, _TIMEOUT), collector)


def metric_exporter(settings: Telemetry) -> "MetricExporter | None":
    """Make an exporter for metrics, for a PeriodicExportingMetricReader; None if they go nowhere.

    It counts points that don't arrive.

    Raises:
        ConfigError: Endpoint, protocol or one of the OTEL_EXPORTER_OTLP_ variables can't be used.
    """
    target = endpoint(settings)
    if target is None or _variable("OTEL_METRICS_EXPORTER") == "none":
        return None
    collector = _collector("metric", target)
    protocol = _protocol(settings)
    from hookline.telemetry.reporting import ReportingMetricExporter  # noqa: PLC0415

    if protocol == "grpc":
        from hookline.telemetry.otlp_grpc import GrpcMetricExporter  # noqa: PLC0415

        return ReportingMetricExporter(GrpcMetricExporter(target, collector, _TIMEOUT), collector)
    from hookline.telemetry.otlp_http import http_metric_exporter  # noqa: PLC0415

    return ReportingMetricExporter(http_metric_exporter(target, collector, _TIMEOUT), collector)


def _protocol(settings: Telemetry) -> Literal["grpc", "http/protobuf"]:
    """The protocol, after a look at everything else that the SDK reads for it."""
    name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    found = settings.otlp_protocol or _variable(name) or "grpc"
    if found not in _COMPRESSIONS:
        raise ConfigError(
            f'{name} is {found!r}, which Hookline doesn\'t speak: set it to "grpc" or "http/protobuf"'
        )
    for prefix in _VARIABLES:
        _check_headers(f"{prefix}HEADERS")
        for kind in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
            _check_file(prefix + kind)
        compression = _variable(f"{prefix}COMPRESSION").lower()
        if compression not in _COMPRESSIONS[found]:
            known = " or ".join(sorted(_COMPRESSIONS[found] - {""}))
            raise ConfigError(
                f"{prefix}COMPRESSION is {compression!r}: with {found} it can be {known}, or unset"
            )
    return "grpc" if found == "grpc" else "http/protobuf"


def _check_headers(name: str) -> None:
    """See that each is a name and a value. They are secrets, so none is quoted."""
    for number, header in enumerate(_variable(name).split(","), start=1):
        key, equals, _ = header.partition("=")
        if header.strip() and not (equals and key.strip()):
            raise ConfigError(
                f"entry {number} of {name} is not NAME=VALUE: separate entries by commas, and write a comma inside"
                " a value as %2C"
            )


def _check_file(name: str) -> None:
    path = _variable(name)
    if path and not os.access(path, os.R_OK):
        raise ConfigError(f"{name} names {Path(path)}, which can't be read: correct it, or unset it")


def _collector(signal: Literal["span", "metric"], target: str) -> Collector:
    logging.getLogger(_SILENCED).setLevel(logging.CRITICAL + 1)
    return Collector(signal, urlsplit(target).netloc)


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    try:
        url = urlsplit(address)
        is_usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # brackets or a port that are none
        return None
    return url if is_usable else None


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
