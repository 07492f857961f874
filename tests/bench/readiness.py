"""Waiting until a service that was just started answers."""

import asyncio
import time

import grpc
import httpx
from grpc_health.v1 import health_pb2

from bench.process import Process

_PATIENCE = 30.0
_PAUSE = 0.05


async def http(process: Process, port: int) -> None:
    """Wait for a 200 from /readyz.

    Raises:
        TimeoutError: It took too long.
        ProcessFailedError: The process ended.
    """
    deadline = time.monotonic() + _PATIENCE
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while True:
            process.check()
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await _pause(deadline, process)


async def health(process: Process, port: int, service: str) -> None:
    """Wait until the gRPC health service says SERVING.

    Raises:
        TimeoutError: It took too long.
        ProcessFailedError: The process ended.
    """
    deadline = time.monotonic() + _PATIENCE
    request = health_pb2.HealthCheckRequest(service=service)
    while True:
        process.check()
        # A new channel each time: one that failed to connect waits ever longer before it tries again.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            # Not by its stub: the types of that name no methods.
            check: grpc.aio.UnaryUnaryMultiCallable[
                health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
            ] = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answer = await check(request, timeout=1)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
        await _pause(deadline, process)


async def _pause(deadline: float, process: Process) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{process.name} is not ready after {_PATIENCE:.0f} s")
    await asyncio.sleep(_PAUSE)
