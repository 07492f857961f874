"""What traces cost: the whole path with none, one in a hundred and all of them, and what an unsampled event pays.

Three installations take turns, and their spans go to a collector that throws them away. It runs on the same cores, as
does everything else here, so what it takes counts as a cost of tracing, too.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import grpc

from bench.installation import install
from bench.process import free_port, run_python
from bench.rig import Rig
from bench.samples import Reading
from hookline.config import Telemetry
from hookline.edge.answers import accepted
from hookline.edge.trace import Traces
from hookline.model import LoggedEvent, Seq, Shard, SourceName, SubscriptionName
from hookline.relay.delivery import Delivery
from hookline.relay.trace import DeliveryTraces
from hookline.telemetry.tracing import Tracing
from hookline.v1 import delivery_pb2 as pb

RATIOS = {"untraced": None, "traced 1%": 0.01, "traced 100%": 1.0}
_TURNS = 8
"""Each installation has so many in a round."""
_PATIENCE = 30.0
"""Seconds that the collector may take to start."""
_EVENT = UUID("01234567-89ab-8def-8123-456789abcdef")
_BATCHES = 25
_EVENTS = 400
"""In a batch."""
_SCOPE = {
    "type": "http",
    "scheme": "https",
    "method": "POST",
    "headers": [
        (b"host", b"hooks.example.com"),
        (b"content-type", b"application/json"),
        (b"x-signature", b"0" * 128),
    ],
}


async def measure(rig: Rig, databases: Sequence[str]) -> dict[str, Reading]:
    """Webhooks per second of all turns together, each until its last ack, by the share that is traced."""
    port = free_port()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(run_python("collector", "bench.collector", str(port), logs=rig.logs))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), _PATIENCE)
        sides = {}
        for (name, ratio), database in zip(RATIOS.items(), databases, strict=True):
            telemetry = (
                ""
                if ratio is None
                else f'[telemetry]\notlp_endpoint = "http://127.0.0.1:{port}"\nsample_ratio = {ratio}\n'
            )
            label = name.replace(" ", "-").rstrip("%")
            sides[name] = await stack.enter_async_context(install(rig, database, label, telemetry=telemetry))
        for side in sides.values():
            await side.take_turn(rig.warm_up, counts=False)
        await rig.server.settle()
        order = list(sides.values())
        for _ in range(_TURNS):
            for side in order:
                await side.take_turn(rig.seconds / 5)
            # Who was first is last next.
            order.append(order.pop(0))
        return {name: side.reading() for name, side in sides.items()}


def measure_hooks() -> Iterator[tuple[str, Reading]]:
    """What edge and relay do for the traces of one event, with an exporter configured: microseconds of CPU."""
    for name, ratio in (("unsampled", 0.0), ("sampled", 1.0)):
        # Nobody listens there: what is measured is what the path pays, not what the exporter's thread does.
        tracing = Tracing(
            Telemetry(otlp_endpoint="http://127.0.0.1:9", otlp_protocol="grpc", sample_ratio=ratio),
            service="bench",
        )
        edge, relay = [], []
        for _ in range(_BATCHES):
            took, traceparents = _edge(Traces(tracing))
            edge.append(took)
            relay.append(_relay(DeliveryTraces(tracing, SubscriptionName("bench")), traceparents))
        asyncio.run(tracing.shutdown())
        # What is above the least is the machine's doing.
        details = {"edge": min(edge), "relay": min(relay), "batches": _BATCHES, "events": _EVENTS}
        yield f"trace hooks {name}", Reading(min(edge) + min(relay), "us/event", details)


def _edge(traces: Traces) -> tuple[float, list[str]]:
    """Accept webhooks. Answers microseconds for each, and the contexts that their events carry."""
    answer = accepted(_EVENT, revision=False)
    traceparents = []
    begun = time.thread_time()  # of this thread: the exporter has its own
    for _ in range(_EVENTS):
        trace = traces.start("begini", _SCOPE)
        trace.identified(_EVENT, "psychometric_score.complete", 1500)
        trace.end(answer, started=0.0)
        traceparents.append(trace.traceparent)
    return (time.thread_time() - begun) / _EVENTS * 1e6, traceparents


def _relay(traces: DeliveryTraces, traceparents: Sequence[str]) -> float:
    """Hand the events out and have them acked. Answers microseconds for each."""
    settlement = pb.Settlement(token=b"token", ack=pb.Ack())
    deliveries = [_delivery(traceparent) for traceparent in traceparents]
    begun = time.thread_time()
    for delivery in deliveries:
        if traces.is_recording:
            traces.handed_out(delivery)
        if traces.is_recording:
            traces.acked(delivery, settlement, arrived_at=0)
    return (time.thread_time() - begun) / len(deliveries) * 1e6


def _delivery(traceparent: str) -> Delivery:
    event = LoggedEvent(
        event_id=_EVENT,
        seq=Seq(1),
        received_at=datetime.now(UTC),
        shard=Shard(0),
        revision=False,
        source=SourceName("begini"),
        type="psychometric_score.complete",
        ordering_key="",
        traceparent=traceparent,
        tracestate="",
        headers="[]",
        body=b"{}",
    )
    return Delivery(event, cast("Any", None))


if __name__ == "__main__":
    for name, reading in measure_hooks():
        print(f"{name:<24} {reading.value:>10.1f} {reading.unit}")
