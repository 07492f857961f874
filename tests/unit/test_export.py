"""Where spans and metrics go over OTLP, what goes with them, and what is refused before anything goes wrong."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

import hookline
from hookline.config import Telemetry
from hookline.errors import ConfigError
from hookline.telemetry import collector, dropped, export
from hookline.telemetry.resource import resource
from relay.certificates import Authority
from unit.otlp_receiver import Receiver, over_grpc, over_http

SECRET = "canary-4711"
RECEIVERS: dict[str, Callable[..., AbstractContextManager[Receiver]]] = {
    "grpc": over_grpc,
    "http/protobuf": over_http,
}
both_protocols = pytest.mark.parametrize("protocol", RECEIVERS)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def drops() -> Callable[[], dict[str, int]]:
    before = dropped.counts()
    return lambda: {
        signal: n - before[signal] for signal, n in dropped.counts().items() if n > before[signal]
    }


def spans(number: int = 1) -> Sequence[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource("hookline-test"), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for _ in range(number):
        provider.get_tracer("test").start_span("one").end()
    return kept.get_finished_spans()


def points(number: int = 1) -> MetricsData:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=resource("hookline-test"), shutdown_on_exit=False)
    counter = provider.get_meter("test").create_counter("things")
    for label in range(number):
        counter.add(1, {"label": label})
    data = reader.get_metrics_data()
    assert data
    return data


def settings(endpoint: str | None = None, protocol: str | None = None) -> Telemetry:
    return Telemetry.model_validate({"otlp_endpoint": endpoint, "otlp_protocol": protocol})


def send(chosen: Telemetry, number: int = 1) -> tuple[SpanExportResult, MetricExportResult]:
    """Export so many spans and points."""
    span_exporter, metric_exporter = export.span_exporter(chosen), export.metric_exporter(chosen)
    assert span_exporter
    assert metric_exporter
    results = span_exporter.export(spans(number)), metric_exporter.export(points(number))
    span_exporter.shutdown()
    metric_exporter.shutdown()
    return results


ARRIVED = SpanExportResult.SUCCESS, MetricExportResult.SUCCESS
FAILED = SpanExportResult.FAILURE, MetricExportResult.FAILURE


def test_without_an_endpoint_nothing_goes_anywhere() -> None:
    assert export.endpoint(settings()) is None
    assert export.span_exporter(settings()) is None
    assert export.metric_exporter(settings()) is None


def test_the_file_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4317")
    assert export.endpoint(settings("https://ours:4317")) == "https://ours:4317"
    assert export.endpoint(settings()) == "http://theirs:4317"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    assert export.endpoint(settings()) is None


def test_the_sdk_s_own_switches_work(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("http://localhost:4318", "http/protobuf")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    assert export.metric_exporter(chosen) is None
    assert export.span_exporter(chosen) is not None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert export.span_exporter(chosen) is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert export.endpoint(chosen) is None


@pytest.mark.parametrize(
    "address",
    [
        "localhost:4317",
        f"ftp://{SECRET}",
        "http://",
        "//host",
        "http://host:0",
        "http://[::1",
        "http://host:port",
    ],
)
@pytest.mark.parametrize("by_variable", [True, False])
def test_an_address_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str, *, by_variable: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    with pytest.raises(ConfigError) as refused:
        export.endpoint(settings(None if by_variable else address))
    name = "OTEL_EXPORTER_OTLP_ENDPOINT" if by_variable else "telemetry.otlp_endpoint"
    assert str(refused.value).startswith(f"{name} is no address that OTLP can go to: it begins with http://")
    assert SECRET not in str(refused.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(
        ConfigError, match=r"telemetry.otlp_endpoint has a user or a password in it"
    ) as refused:
        export.endpoint(settings(f"https://user:{SECRET}@host:4317"))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "PROTOCOL",
            "http/json",
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json', which Hookline doesn't speak: set it",
        ),
        ("HEADERS", f"a=b,{SECRET}", "entry 2 of OTEL_EXPORTER_OTLP_HEADERS is not NAME=VALUE"),
        ("TRACES_HEADERS", f"={SECRET}", "entry 1 of OTEL_EXPORTER_OTLP_TRACES_HEADERS is not NAME=VALUE"),
        (
            "CERTIFICATE",
            "/nowhere/ca.pem",
            "OTEL_EXPORTER_OTLP_CERTIFICATE names /nowhere/ca.pem, which can't be",
        ),
        (
            "METRICS_CLIENT_KEY",
            "/nowhere/key",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY names /nowhere/key, which",
        ),
        (
            "COMPRESSION",
            "zstd",
            "OTEL_EXPORTER_OTLP_COMPRESSION is 'zstd': with grpc it can be gzip, or unset",
        ),
    ],
)
@pytest.mark.parametrize("make", [export.span_exporter, export.metric_exporter])
def test_a_variable_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str, make: Callable[[Telemetry], Any]
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{variable}", value)
    with capture_logs() as lines, pytest.raises(ConfigError) as refused:
        make(settings("http://localhost:4317"))
    assert str(refused.value).startswith(told)
    assert SECRET not in f"{refused.value} {lines}"


@both_protocols
@pytest.mark.parametrize("by_variable", [True, False])
def test_spans_and_metrics_arrive_with_the_headers_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, protocol: str, *, by_variable: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-token={SECRET}%2C1")
    with RECEIVERS[protocol]() as receiver:
        if by_variable:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint + "/")
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        assert send(settings() if by_variable else settings(receiver.endpoint, protocol)) == ARRIVED
    (to, headers, traced), (metrics_to, metric_headers, metered) = receiver.requests
    paths = ("/v1/traces", "/v1/metrics") if protocol == "http/protobuf" else ("traces", "metrics")
    assert (to, metrics_to) == paths
    assert headers["x-token"] == metric_headers["x-token"] == f"{SECRET},1"
    assert traced.resource_spans[0].scope_spans[0].spans[0].name == "one"
    assert metered.resource_metrics[0].scope_metrics[0].metrics[0].name == "things"


def test_grpc_is_spoken_unless_something_else_is_asked_for() -> None:
    with over_grpc() as receiver:
        assert send(settings(receiver.endpoint)) == ARRIVED


def test_an_endpoint_over_http_may_have_a_path() -> None:
    with over_http() as receiver:
        send(settings(f"{receiver.endpoint}/team/otlp/", "http/protobuf"))
    assert [path for path, _, _ in receiver.requests] == ["/team/otlp/v1/traces", "/team/otlp/v1/metrics"]


@both_protocols
def test_https_is_tls_and_the_certificate_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: str
) -> None:
    authority = Authority(tmp_path)
    server = authority.sign("localhost")
    with RECEIVERS[protocol](server.certificate, server.key) as receiver:
        with capture_logs(), monkeypatch.context() as at_first:
            at_first.setattr(export, "_TIMEOUT", 0.5)  # too short for a second try
            assert send(settings(receiver.endpoint, protocol)) == FAILED, "an unknown authority signed it"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(authority.certificate))
        assert send(settings(receiver.endpoint, protocol)) == ARRIVED
    assert len(receiver.requests) == 2


@both_protocols
def test_what_the_collector_rejects_is_counted(protocol: str, drops: Callable[[], dict[str, int]]) -> None:
    with RECEIVERS[protocol]() as receiver, capture_logs() as lines:
        receiver.rejects = 3
        assert send(settings(receiver.endpoint, protocol), 5) == ARRIVED
    assert drops() == {"span": 3, "metric": 3}
    address = f"localhost:{receiver.port}"
    assert lines == [
        {
            "event": "the collector rejects a part of what it gets",
            "log_level": "warning",
            "signal": signal,
            "collector": address,
            "rejected": 3,
        }
        for signal in ("span", "metric")
    ]


@pytest.mark.parametrize("status", [301, 400])
def test_what_the_collector_refuses_is_lost(status: int, drops: Callable[[], dict[str, int]]) -> None:
    with over_http() as receiver, capture_logs() as lines:
        receiver.status = status
        assert send(settings(receiver.endpoint, "http/protobuf"), 5) == FAILED
    assert drops() == {"metric": 5}, "failed spans are the queue's to count"
    assert [line["reason"] for line in lines] == [f"HTTP {status}"] * 2


@both_protocols
def test_a_lost_collector_is_told_once_and_once_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-token={SECRET}")
    with RECEIVERS[protocol]() as receiver:
        endpoint, address = receiver.endpoint, f"localhost:{receiver.port}"
    now = 1000.0
    monkeypatch.setattr(collector, "monotonic", lambda: now)
    monkeypatch.setattr(export, "_TIMEOUT", 0.5)  # too short for a second try
    exporter = export.span_exporter(settings(endpoint, protocol))
    assert exporter
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        for _ in range(3):
            exporter.export(spans(2))
        now += 61
        exporter.export(spans(2))
        exporter._collector.took()  # type: ignore[attr-defined]
        exporter._collector.took()  # type: ignore[attr-defined]
    reason = {"grpc": "UNAVAILABLE", "http/protobuf": "ConnectionError"}[protocol]
    facts = {"log_level": "warning", "signal": "span", "collector": address}
    lost = {"event": "collector lost: what it should get is dropped", "reason": reason, **facts}
    assert lines == [lost, lost, {"event": "collector found again", "lost": 8, **facts}]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
    assert SECRET not in f"{lines} {caplog.text}"


def test_the_resource_says_which_process_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = resource("hookline-edge").attributes
    assert (ours["service.name"], ours["service.version"]) == ("hookline-edge", hookline.__version__)
    assert resource("hookline-relay").attributes["service.instance.id"] == ours["service.instance.id"]
    program = "from hookline.telemetry.resource import resource; print(resource('x').attributes['service.instance.id'])"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(other.stdout.strip()) == len(str(ours["service.instance.id"])) == 36
    assert other.stdout.strip() != ours["service.instance.id"]
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9,service.instance.id=pod-1,team=a")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "front")
    theirs = resource("hookline-edge").attributes
    names = ("service.name", "service.version", "service.instance.id", "team")
    assert [theirs[name] for name in names] == ["front", "9", "pod-1", "a"]


def test_only_what_is_spoken_is_imported() -> None:
    program = """
import sys
import hookline.edge.server
from hookline.config import Telemetry
from hookline.telemetry.tracing import Tracing

def tell(**telemetry):
    Tracing(Telemetry.model_validate(telemetry), service="x")
    print([name for name in ("opentelemetry.sdk.trace", "requests", "grpc") if name in sys.modules])

tell()
tell(otlp_endpoint="http://localhost:1", otlp_protocol="http/protobuf")
tell(otlp_endpoint="http://localhost:1")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    nothing, http, both = ran.stdout.splitlines()
    assert nothing == "[]"
    assert http == "['opentelemetry.sdk.trace', 'requests']"
    assert both == "['opentelemetry.sdk.trace', 'requests', 'grpc']"
