"""A consuming service with OpenTelemetry of its own: TARGET COUNT ENDPOINT PORT.

It acks COUNT events of the subscription `all` and COUNT that are pushed to PORT, does the work of each in a span of
its own, and ends.
"""

import asyncio
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from hookline.client import Consumer, Delivery
from hookline.client.push import PushServer


def work(delivery: Delivery) -> None:
    with trace.get_tracer("decisions").start_as_current_span(f"decide {delivery.subscription}"):
        pass


async def main(target: str, count: int, endpoint: str, port: int) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "decisions"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    trace.set_tracer_provider(provider)
    pushed = asyncio.Semaphore(0)

    async def handle(delivery: Delivery) -> None:
        work(delivery)
        pushed.release()

    async with PushServer(handle, f"127.0.0.1:{port}") as server:
        async with Consumer(target, "all") as consumer:
            for _ in range(count):
                delivery = await anext(consumer)
                work(delivery)
                await delivery.ack()
        for _ in range(count):
            await pushed.acquire()
        await server.stop()
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
