"""Does the OTLP endpoint take what is sent?"""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

from hookline.address import Address
from hookline.config import Settings
from hookline.doctor.finding import Finding, of_error, ok, problem
from hookline.errors import ConfigError
from hookline.telemetry import export

_CHECK = "otlp"
_CONNECT = timedelta(seconds=2)
_EXPORT = timedelta(seconds=4)
_PORTS = {"http": 4317, "https": 443}
"""Where exporters go that are told no port."""


async def look(settings: Settings) -> Finding:
    """Connect, and send a request without a span."""
    try:
        endpoint = export.endpoint(settings.telemetry)
    except ConfigError as error:
        return of_error(_CHECK, error)
    if endpoint is None:
        return ok(
            _CHECK,
            "no endpoint is configured: traces and metrics go nowhere, and metrics are at the status address",
        )
    parts = urlsplit(endpoint)
    where = Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
    try:
        async with asyncio.timeout(_CONNECT.total_seconds()):
            _, writer = await asyncio.open_connection(where.host, where.port)
        writer.close()
    except OSError as error:  # which a timeout is, too
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        return problem(
            _CHECK,
            f"{where} can't be reached: {reason}; webhooks flow all the same, traces and metrics are lost",
            "start the collector there, or mend telemetry.otlp_endpoint",
        )
    return await _send_nothing(settings, where)


async def _send_nothing(settings: Settings, where: Address) -> Finding:
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415  (brings the SDK)

    try:
        exporter = export.span_exporter(settings.telemetry)
    except ConfigError as error:
        return of_error(_CHECK, error)
    if exporter is None:
        return ok(_CHECK, f"{where} can be reached; spans are switched off")
    try:
        async with asyncio.timeout(_EXPORT.total_seconds()):
            result = await asyncio.to_thread(exporter.export, [])
    except TimeoutError:
        result = None
    if result is SpanExportResult.SUCCESS:
        return ok(_CHECK, f"{where} takes spans")
    return problem(
        _CHECK,
        f"{where} takes connections, and no spans",
        "let telemetry.otlp_protocol fit the port (4317 is usually grpc, 4318 http/protobuf), and look at what"
        " OTEL_EXPORTER_OTLP_HEADERS says and at the collector's log",
    )
