"""What a relay says of itself: over gRPC to load balancers and consumers, over HTTP to those who watch."""

import asyncio
import signal
import tempfile
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import SHARDS
from hookline import __version__
from hookline.store.migrate import migrate
from path.rig.events import append_many
from path.rig.postgres import PostgresProcess
from path.rig.process import SERVICE, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.wait import until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", SERVICE, "hookline.v1.SubscriptionService", "hookline.v1.ReplayService")


async def states(stub: Any) -> set[Any]:
    """What all services are said to be."""
    answers = [await stub.Check(health_pb2.HealthCheckRequest(service=name)) for name in SERVICES]
    return {answer.status for answer in answers}


async def test_health_follows_the_database_and_the_drain(tmp_path: Path) -> None:
    status = f"127.0.0.1:{free_port()}"
    config = write_config(
        tmp_path / "hookline.toml",
        {"relay": {"status": status}, "subscriptions.all": {"start": "earliest"}},
    )
    # Not below pytest's directory: another run of it would take the server's user the way to it.
    with tempfile.TemporaryDirectory(prefix="hookline-test-") as directory:
        await _follow(Path(directory), config, status)


async def _follow(directory: Path, config: Path, status: str) -> None:
    async with PostgresProcess(directory) as postgres:
        await migrate(postgres.url, shards=SHARDS)
        async with (
            RelayProcess(postgres.url, config) as relay,
            grpc.aio.insecure_channel(relay.target) as channel,
            httpx.AsyncClient(base_url=f"http://{status}") as http,
        ):
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            assert (await watch.read()).status == SERVING
            assert await states(stub) == {SERVING}
            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()) == (
                200,
                {
                    "status": "ready",
                    "checks": [
                        {"name": "database", "status": "ok", "detail": "reached"},
                        {"name": "grpc", "status": "ok", "detail": "takes calls"},
                        {"name": "draining", "status": "ok", "detail": "not told to stop"},
                    ],
                    "service": "hookline-relay",
                    "version": __version__,
                },
            )

            postgres.stop()
            async with asyncio.timeout(20):
                assert (await watch.read()).status == NOT_SERVING
            assert await states(stub) == {NOT_SERVING}
            lost = await http.get("/readyz")
            assert (lost.status_code, lost.json()["status"]) == (503, "unavailable")
            database = lost.json()["checks"][0]
            assert (database["name"], database["status"]) == ("database", "failed")
            assert database["detail"].startswith("Postgres: ")
            assert (await http.get("/healthz")).json()["status"] == "alive"

            postgres.start()
            async with asyncio.timeout(20):
                assert (await watch.read()).status == SERVING
            assert await states(stub) == {SERVING}
            assert (await http.get("/readyz")).status_code == 200

            # A consumer that holds an event keeps the drain going for a while.
            async with RawStream(relay.target) as stream:
                await stream.start(events=1)
                await append_many(postgres.url, 1)
                await stream.deliveries(1)
                relay.signal(signal.SIGTERM)
                await stream.until_draining()
                async with asyncio.timeout(5):
                    assert (await watch.read()).status == NOT_SERVING
                draining = await http.get("/readyz")
                assert (draining.status_code, draining.json()["checks"][2]) == (
                    503,
                    {"name": "draining", "status": "failed", "detail": "about to stop"},
                )
                assert (await http.get("/healthz")).status_code == 200
            await until(lambda: relay.has_ended, "the relay ends")
            assert await relay.ended() == 0
            assert "Traceback" not in relay.output()
