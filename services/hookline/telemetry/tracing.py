"""Where spans go: nowhere, unless an OTLP endpoint is configured."""

import asyncio
import os
import random
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from opentelemetry.trace import NoOpTracer, Tracer

import hookline
from hookline.config import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names and attributes follow."""
_EXPORT_TIMEOUT = 2.0
"""Seconds that one export may take: a dead collector must not hold anything up."""
_SHUTDOWN_DEADLINE = timedelta(seconds=1.5)


class Tracing:
    """The tracer of one process, and the decision which work is traced.

    Sampling is decided here, at the head, before any span exists: unsampled work makes no span objects. Inside
    a trace the sampled flag of the stored context decides.
    """

    def __init__(self, settings: Telemetry, *, service: str) -> None:
        endpoint = settings.otlp_endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        self._provider: TracerProvider | None = None
        self.tracer: Tracer = NoOpTracer()
        self._ratio = settings.sample_ratio if endpoint else 0.0
        if endpoint:
            self._provider = _provider(endpoint, service)
            self.tracer = self._provider.get_tracer("hookline", hookline.__version__, schema_url=SCHEMA_URL)

    @property
    def is_exporting(self) -> bool:
        """Whether spans go anywhere."""
        return self._provider is not None

    def samples_root(self) -> bool:
        """Decide for a new trace whether it is recorded."""
        return self._ratio > 0 and (self._ratio >= 1 or random.random() < self._ratio)  # noqa: S311  (no secret)

    async def shutdown(self) -> None:
        """Send what is left, within a deadline: the exporter's own shutdown may take much longer."""
        provider, self._provider = self._provider, None
        if provider is None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def flush() -> None:
            provider.shutdown()
            loop.call_soon_threadsafe(done.set)

        # A daemon thread: if the collector never answers, the process ends without it.
        threading.Thread(target=flush, name="span flush", daemon=True).start()
        try:
            async with asyncio.timeout(_SHUTDOWN_DEADLINE.total_seconds()):
                await done.wait()
        except TimeoutError:
            pass


def _provider(endpoint: str, service: str) -> "TracerProvider":
    """Send spans to an OTLP receiver. The exporter is imported when there is one: it brings all of gRPC."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    resource = Resource.create({"service.name": service, "service.version": hookline.__version__})
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(
        endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=_EXPORT_TIMEOUT
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=8192, schedule_delay_millis=500))
    return provider
