"""What an edge says of itself: to load balancers on its public port, to those who watch on its status address."""

import asyncio
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from edge.fault_proxy import FaultProxy
from edge.provider import KEY, body, send
from edge.running import EdgeProcess
from hookline import __version__, status
from hookline.config import Telemetry
from hookline.telemetry.metrics import Metrics
from path.rig.process import free_port
from path.rig.run import hookline
from path.rig.wait import until

WHO = {"service": "hookline-edge", "version": __version__}
PROBLEM = "application/problem+json"
OK_CHECKS = [
    {"name": "intake", "status": "ok", "detail": "takes webhooks"},
    {"name": "database", "status": "ok", "detail": "events can be committed"},
    {"name": "draining", "status": "ok", "detail": "not told to stop"},
]


def status_of(process: EdgeProcess) -> str:
    [line] = [line for line in process.lines if line.get("event") == "status listening"]
    return f"http://{line['http']}"


async def test_health_on_the_public_port_is_asked_for_with_get_or_head(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        for path in ("/healthz", "/readyz"):
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            for method in ("POST", "PUT", "DELETE", "OPTIONS"):
                answer = await client.request(method, path)
                assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
                assert answer.headers["content-type"] == PROBLEM
                assert answer.json()["code"] == "method_not_allowed"


async def test_a_status_address_follows_the_database_and_the_drain(
    start_process: Callable[..., Awaitable[EdgeProcess]], proxy: FaultProxy
) -> None:
    process = await start_process(
        proxy.dsn, HOOKLINE_EDGE__STATUS="127.0.0.1:0", HOOKLINE_EDGE__DRAIN_DELAY="2s"
    )
    async with (
        httpx.AsyncClient(base_url=status_of(process)) as at_status,
        httpx.AsyncClient(base_url=process.address) as public,
    ):
        assert (await at_status.get("/healthz")).json() == {"status": "alive", **WHO}
        ready = await at_status.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": OK_CHECKS, **WHO})
        shown = await at_status.get("/metrics")
        assert shown.status_code == 200
        assert "version=" in shown.headers["content-type"]
        for path in ("/healthz", "/readyz", "/metrics"):
            head = await at_status.head(path)
            assert (head.status_code, head.content) == (200, b"")
            wrong = await at_status.post(path, content=b"x")
            assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
            assert (wrong.headers["content-type"], wrong.json()["status"]) == (PROBLEM, 405)
        unknown = await at_status.get("/v1/webhooks/begini")
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, PROBLEM)
        assert unknown.json()["code"] == "not_found"

        proxy.cut()
        assert (await send(process.address, body("A"))).status == 503
        for client in (at_status, public):
            lost = await client.get("/readyz")
            assert (lost.status_code, lost.json()["status"]) == (503, "unavailable")
            assert (await client.get("/healthz")).status_code == 200
        failed = (await at_status.get("/readyz")).json()["checks"]
        assert [check["name"] for check in failed if check["status"] == "failed"] == ["database"]
        proxy.mend()
        await until(lambda: _answers(at_status, "/readyz", 200), "it is ready again")

        told = monotonic()
        process.signal(signal.SIGTERM)
        await until(lambda: _answers(public, "/readyz", 503), "it drains")
        assert (await public.get("/readyz")).json()["status"] == "draining"
        draining = await at_status.get("/readyz")
        assert (draining.status_code, draining.json()["checks"][2]) == (
            503,
            {"name": "draining", "status": "failed", "detail": "about to stop"},
        )
        assert (await at_status.get("/healthz")).status_code == 200
        assert (await send(process.address, body("B"))).status == 200, "it works on while it drains"
    assert await process.wait() == 0
    assert monotonic() - told >= 2, "edge.drain_delay"


async def _answers(client: httpx.AsyncClient, path: str, code: int) -> bool:
    return (await client.get(path)).status_code == code


async def test_a_status_address_in_use_is_named(tmp_path: Path, database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        environment = {
            "BEGINI_API_KEY": KEY,
            "HOOKLINE_DATABASE_URL": database,
            "HOOKLINE_EDGE__STATUS": taken,
            "HOOKLINE_RELAY__STATUS": taken,
        }
        for command, option in (("edge", "--http"), ("relay", "--grpc")):
            ended = await hookline(command, option, "127.0.0.1:0", cwd=tmp_path, environment=environment)
            assert ended.returncode == 2
            assert f"hookline: {command}.status = {taken!r}: can't listen there" in ended.stderr
            assert "Traceback" not in ended.stderr


async def test_silent_connections_keep_nobody_from_the_status() -> None:
    where = f"127.0.0.1:{free_port()}"
    metrics = Metrics(Telemetry(), service="test")
    serving = status.serving(
        where, setting="edge.status", service="test", readiness=lambda: (), metrics=metrics
    )
    host, port = urlsplit(f"//{where}").hostname, urlsplit(f"//{where}").port
    async with serving, httpx.AsyncClient(base_url=f"http://{where}") as client:
        silent = [await asyncio.open_connection(host, port) for _ in range(100)]
        answer = await client.get("/healthz", timeout=5)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        # The oldest went, so that no more than a few are there.
        assert await asyncio.wait_for(_end(silent[0][0]), 5)
        assert not silent[-1][0].at_eof()
        for _, writer in silent:
            writer.close()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as client:
            await client.get(f"http://{where}/healthz")


class SlowMetrics(Metrics):
    """Takes as long to read as a test wants."""

    def __init__(self) -> None:
        super().__init__(Telemetry(), service="test")
        self.asked, self.go_on = threading.Event(), threading.Event()

    def exposition(self) -> tuple[bytes, str]:
        self.asked.set()
        assert self.go_on.wait(10)
        return super().exposition()


async def test_a_scrape_keeps_nobody_waiting() -> None:
    where, metrics = f"127.0.0.1:{free_port()}", SlowMetrics()
    serving = status.serving(
        where, setting="edge.status", service="test", readiness=lambda: (), metrics=metrics
    )
    async with serving, httpx.AsyncClient(base_url=f"http://{where}", timeout=5) as client:
        scrapes = [asyncio.create_task(client.get("/metrics")) for _ in range(3)]
        try:
            await until(metrics.asked.is_set, "one reads")
            assert (await client.get("/healthz")).status_code == 200
        finally:
            metrics.go_on.set()
        assert {answer.text.splitlines()[-1] for answer in await asyncio.gather(*scrapes)} == {"# EOF"}


async def _end(reader: Any) -> bool:
    try:
        return bool(await reader.read() == b"")
    except ConnectionResetError:
        return True
