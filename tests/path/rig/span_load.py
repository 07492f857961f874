"""A process that ends spans as fast as an edge does, says how long each end took, and shuts down.

Arguments: the OTLP endpoint, the protocol, how many spans. Prints a JSON object.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

import psutil
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, set_span_in_context

from hookline.config import Telemetry
from hookline.process import calm_garbage_collection
from hookline.telemetry import dropped, logs
from hookline.telemetry.tracing import Tracing

REQUESTS_A_TURN = 20


def _request(tracing: Tracing) -> list[Span]:
    """The spans of one webhook, as the edge starts them."""
    server = tracing.tracer.start_span(
        "POST /v1/webhooks/{source}",
        context=Context(),
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": "POST",
            "http.route": "/v1/webhooks/{source}",
            "hookline.source": "begini",
        },
    )
    below = set_span_in_context(server, Context())
    persist = tracing.tracer.start_span("persist", context=below)
    create = tracing.tracer.start_span(
        "create begini",
        context=below,
        kind=SpanKind.PRODUCER,
        attributes={
            "messaging.system": "hookline",
            "messaging.operation.name": "create",
            "messaging.operation.type": "create",
            "messaging.destination.name": "begini",
            "messaging.message.id": str(uuid4()),
            "messaging.message.body.size": 1500,
            "hookline.event.type": "psychometric_score.complete",
        },
    )
    return [persist, create, server]


def _preempted() -> int:
    """How often the machine took the processor from this thread for others. Waits of its own don't count."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _queued() -> float:
    """Milliseconds that this thread could have run and had no processor, because others had them."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6


async def run(endpoint: str, protocol: str, wanted: int) -> dict[str, float]:
    settings = Telemetry.model_validate({"otlp_endpoint": endpoint, "otlp_protocol": protocol})
    logs.configure(settings)
    tracing = Tracing(settings, service="span-load")
    calm_garbage_collection()
    process = psutil.Process()
    before = most = process.memory_info().rss
    took: list[float] = []
    spans, lags, started = 0, [], time.perf_counter()
    while spans < wanted:
        for _ in range(REQUESTS_A_TURN):
            for span in _request(tracing):
                preempted = _preempted()
                began = time.perf_counter()
                span.end()
                ended = time.perf_counter()
                spans += 1
                if _preempted() == preempted:
                    took.append((ended - began) * 1e3)
        most = max(most, process.memory_info().rss)
        queued, slept = _queued(), time.perf_counter()
        await asyncio.sleep(0.001)
        lags.append((time.perf_counter() - slept - 0.001) * 1e3 - (_queued() - queued))
    asked = time.perf_counter()
    load_s = asked - started
    await tracing.shutdown()
    percentiles, late = quantiles(took, n=100), quantiles(lags, n=100)
    return {
        "spans": spans,
        "dropped": dropped.counts()["span"],
        "end_p50_ms": percentiles[49],
        "end_p99_ms": percentiles[98],
        "end_max_ms": max(took),
        "lag_p50_ms": late[49],
        "lag_p99_ms": late[98],
        "growth_mb": (most - before) / 1e6,
        "load_s": load_s,
        "rss_mb": most / 1e6,
        "shutdown_s": time.perf_counter() - asked,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
