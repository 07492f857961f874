"""A consumer that is called, on the bare contract: it does what a test asks, wrong things too.

As a program it acks everything it gets on PORT and appends each event's id to LOG, until it is called with an event
whose body is "poison": of that it dies, without a word.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse
from hookline.v1.consumer_pb2_grpc import ConsumerServiceServicer, add_ConsumerServiceServicer_to_server

Answer = Callable[[DeliverRequest, Any], Awaitable[DeliverResponse]]


async def ack_all(request: DeliverRequest, context: Any) -> DeliverResponse:
    del context
    return DeliverResponse(
        settlements=[pb.Settlement(token=d.token, ack=pb.Ack()) for d in request.deliveries]
    )


def abort(code: grpc.StatusCode, details: str = "as the test wants") -> Answer:
    """Fail every call."""

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        del request
        return await context.abort(code, details)

    return answer


class PushedTo(ConsumerServiceServicer):
    """Serves while the block lasts, on a free port or the one it is given."""

    def __init__(
        self,
        answer: Answer = ack_all,
        *,
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
        has_health: bool = True,
        serves: bool = True,
    ) -> None:
        self.answer = answer
        self.port = port
        self.calls: list[DeliverRequest] = []
        self.started = asyncio.Event()
        """Set with every call."""
        self._credentials = credentials
        self._has_health = has_health
        self._serves = serves
        self.health = health.HealthServicer()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def events(self) -> list[str]:
        """Ids of all that was handed over, in order."""
        return [delivery.event_id for call in self.calls for delivery in call.deliveries]

    async def feel(self, status: "health_pb2.HealthCheckResponse.ServingStatus.ValueType") -> None:
        """Answer health checks so."""
        await self.health.set("", status)

    async def Deliver(self, request: DeliverRequest, context: Any) -> DeliverResponse:  # noqa: N802
        self.calls.append(request)
        self.started.set()
        return await self.answer(request, context)

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        if self._serves:
            add_ConsumerServiceServicer_to_server(self, self._server)
        if self._has_health:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
            await self.feel(health_pb2.HealthCheckResponse.SERVING)
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self.target)
        else:
            self.port = self._server.add_secure_port(self.target, self._credentials)
        await self._server.start()
        return self

    async def stop(self) -> None:
        """Break all connections."""
        await self._server.stop(grace=0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


async def _main(port: int, log: Path) -> None:
    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        for delivery in request.deliveries:
            if delivery.body == b"poison":
                os._exit(1)
        with log.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{delivery.event_id}\n" for delivery in request.deliveries)
        return await ack_all(request, context)

    async with PushedTo(answer, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
