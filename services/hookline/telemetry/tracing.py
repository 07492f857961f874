"""The tracer of a process, and the decision which work is traced."""

import asyncio
import random
import threading
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry.trace import NoOpTracer, Tracer

import hookline
from hookline.config import Telemetry
from hookline.telemetry import export

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names and attributes follow."""
MOST_FAILURES = 100
"""Failures in a second that are recorded though their trace isn't. A span costs as much as the webhook that fails: to
record each in an outage would make it worse, and say nothing new."""
_SHUTDOWN_DEADLINE = timedelta(seconds=2)
"""Longer than the queue's own: this is for an exporter that doesn't come back from its end."""


class Tracing:
    """The tracer of one process, and the decision which work is traced.

    Sampling is decided here, at the head, before any span exists: unsampled work makes no span objects. Inside
    a trace the sampled flag of the stored context decides.

    Raises:
        ConfigError: What is said about OTLP can't be used.
    """

    def __init__(self, settings: Telemetry, *, service: str) -> None:
        exporter = export.span_exporter(settings)
        self._provider: TracerProvider | None = None
        self.tracer: Tracer = NoOpTracer()
        self._ratio = settings.sample_ratio if exporter else 0.0
        self._second = 0.0
        self._failures = 0
        """Decided on since `_second`."""
        if exporter:
            self._provider = _provider(exporter, service)
            self.tracer = self._provider.get_tracer("hookline", hookline.__version__, schema_url=SCHEMA_URL)

    @property
    def is_exporting(self) -> bool:
        """Whether spans go anywhere."""
        return self._provider is not None

    def samples_root(self) -> bool:
        """Decide for a new trace whether it is recorded."""
        return self._ratio > 0 and (self._ratio >= 1 or random.random() < self._ratio)  # noqa: S311  (no secret)

    def samples_failure(self) -> bool:
        """Decide whether a failure is recorded whose trace isn't: the first `MOST_FAILURES` of each second are."""
        if not self.is_exporting:
            return False
        now = monotonic()
        if now - self._second >= 1:
            self._second, self._failures = now, 0
        self._failures += 1
        return self._failures <= MOST_FAILURES

    async def shutdown(self) -> None:
        """Send what is left, within 2 s."""
        provider, self._provider = self._provider, None
        if provider is None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def flush() -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any longer
                loop.call_soon_threadsafe(done.set)

        # A daemon thread: if the collector never answers, the process ends without it.
        threading.Thread(target=flush, name="span flush", daemon=True).start()
        try:
            async with asyncio.timeout(_SHUTDOWN_DEADLINE.total_seconds()):
                await done.wait()
        except TimeoutError:
            pass


def _provider(exporter: "SpanExporter", service: str) -> "TracerProvider":
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  (only those who trace pay for the SDK)
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    from hookline.telemetry.resource import resource  # noqa: PLC0415
    from hookline.telemetry.span_queue import SpanQueue  # noqa: PLC0415

    provider = TracerProvider(resource=resource(service), sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SpanQueue(exporter))
    return provider
