"""`[telemetry]`."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from hookline.config.duration import Duration
from hookline.config.section import Section
from hookline.config.trace_url import TraceUrl


class Telemetry(Section):
    """`[telemetry]`."""

    otlp_endpoint: str | None = None
    """Where spans and metrics go over OTLP, such as "http://localhost:4317". None: what
    OTEL_EXPORTER_OTLP_ENDPOINT says, else nowhere, and no span is made."""
    otlp_protocol: Literal["grpc", "http/protobuf"] | None = None
    """None: what OTEL_EXPORTER_OTLP_PROTOCOL says, else "grpc"."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """The share of webhooks whose trace is recorded. Failures are recorded always."""
    metrics_interval: Duration = timedelta(seconds=30)
    """How often metrics go over OTLP."""
    max_label_values: int = Field(default=1000, ge=10)
    """How many series one instrument may have; what comes beyond them is counted in one that says so."""
    trace_url: TraceUrl | None = None
    """Where people look at a trace, with {trace_id} in it, such as "https://tempo.example.com/trace/{trace_id}"."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    log_webhooks: Literal["all", "failures", "none"] = "all"
    """Which webhooks and attempts get a log line of their own."""
