"""`[telemetry]`."""

from typing import Literal

from pydantic import Field

from hookline.config.section import Section


class Telemetry(Section):
    """`[telemetry]`."""

    otlp_endpoint: str | None = None
    """Where spans go over OTLP/gRPC, such as "http://localhost:4317". None: nowhere, and no span is made."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
