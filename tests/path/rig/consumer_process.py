"""A consuming service with OpenTelemetry of its own: acks COUNT events of SUBSCRIPTION and ends."""

import asyncio
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from hookline.client import Consumer


async def main(target: str, subscription: str, count: int, endpoint: str) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "decisions"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    trace.set_tracer_provider(provider)
    async with Consumer(target, subscription) as consumer:
        async for delivery in consumer:
            await delivery.ack()
            count -= 1
            if count == 0:
                break
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
