"""A collector that is absent, never answers, is slow or hangs up costs nothing but telemetry, and that is counted."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from hookline.simulator.signature import Signer
from path.conftest import TABLES
from path.rig import span_load
from path.rig.collector import BlackHole
from path.rig.dead_collector import CountingCollector, Resetting
from path.rig.process import KEY, EdgeProcess, Process, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.wait import until
from path.rig.webhooks import body

SECRET = "canary-of-the-collector-s-headers"
SLOW = 1.5
"""Seconds: within what an export may take, so what goes there arrives."""
SPANS = 8_100
WEBHOOKS = 100
"""To each edge."""
STOP = 5.0
"""Seconds that a process may take to end."""


@dataclass
class Load:
    """What a process under load says of itself."""

    spans: int
    dropped: int
    end_p99_ms: float
    growth_mb: float
    rss_mb: float
    shutdown_s: float
    said: str


async def load(endpoint: str, protocol: str = "grpc") -> Load:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, span_load.__file__, endpoint, protocol, str(SPANS)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    told = json.loads(out)
    facts = {name: told[name] for name in Load.__annotations__ if name != "said"}
    return Load(**facts, said=log.decode())


async def test_under_load_no_collector_makes_the_end_of_a_span_wait_or_memory_grow() -> None:
    async with (
        CountingCollector() as good,
        CountingCollector(SLOW) as slow,
        BlackHole() as hole,
        Resetting() as resetting,
    ):
        absent = f"http://127.0.0.1:{free_port()}"
        quick, late, *dead = [
            *await asyncio.gather(*map(load, (good.endpoint, slow.endpoint, absent))),
            *await asyncio.gather(*map(load, (hole.endpoint, resetting.endpoint))),
            await load(hole.endpoint, "http/protobuf"),
        ]
    assert quick.spans == SPANS
    for one in (quick, late, *dead):
        assert one.end_p99_ms < 1
        assert one.growth_mb <= 20
        assert one.shutdown_s <= STOP
    # Each span arrived or is counted. An answer that came too late at the end may be counted, too.
    assert quick.spans == good.spans + quick.dropped
    assert 0 <= late.spans - slow.spans <= late.dropped < late.spans
    for one in dead:
        assert one.dropped == one.spans
        assert one.rss_mb - quick.rss_mb <= 20
        assert one.said.count("\n") == one.said.count("collector lost") == 1


@asynccontextmanager
async def gateways(
    database: str, directory: Path, endpoints: dict[str, str]
) -> AsyncIterator[dict[str, tuple[EdgeProcess, RelayProcess, int, int]]]:
    """An edge and a relay for each endpoint, with the ports of their status pages. The relay serves `to-NAME`."""
    begini = TABLES["sources.begini"]
    async with AsyncExitStack() as parts:
        made = {}
        for name, endpoint in endpoints.items():
            place = directory / name
            place.mkdir()
            ports = free_port(), free_port()
            tables = {
                "sources.begini": begini,
                f"subscriptions.to-{name}": TABLES["subscriptions.all"],
                "edge": {"status": f"127.0.0.1:{ports[0]}"},
                "relay": {**TABLES["relay"], "status": f"127.0.0.1:{ports[1]}"},
                "telemetry": {"otlp_endpoint": endpoint, "metrics_interval": "1s"},
            }
            config = write_config(place / "hookline.toml", tables)
            edge, relay = EdgeProcess(database, config), RelayProcess(database, config)
            for process in (edge, relay):
                process.start()
                parts.push_async_callback(process.__aexit__, None, None, None)
            made[name] = edge, relay, *ports
        for edge, relay, *_ in made.values():
            await edge.ready()
            await relay.ready()
        yield made


async def post_all(edge: EdgeProcess) -> list[int]:
    """Send so many webhooks, a few at once, and answer the statuses."""
    signer = Signer(KEY)
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=8)) as client:

        async def one() -> int:
            content = body()
            headers = {"Content-Type": "application/json", "X-Signature": signer.sign(content)}
            return (await client.post(edge.url, content=content, headers=headers)).status_code

        return list(await asyncio.gather(*(one() for _ in range(WEBHOOKS))))


async def ack_all(relay: RelayProcess, subscription: str, count: int) -> None:
    async with RawStream(relay.target) as stream:
        await stream.start(subscription)
        for _ in range(0, count, 50):
            assert not (await stream.ack(*await stream.deliveries(50))).failures
        assert await stream.rest() == []


async def drops(port: int) -> dict[str, float]:
    """What a process says on its status page."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    found = re.findall(
        r'^hookline_telemetry_dropped_total\{hookline_signal="(\w+)"[^}]*\} ([\d.e+]+)', text, re.MULTILINE
    )
    return {name: float(value) for name, value in found}


async def stopped(process: Process) -> tuple[int, float]:
    """The exit code, and after how many seconds."""
    asked = monotonic()
    process.signal(signal.SIGTERM)
    return await process.ended(), monotonic() - asked


async def test_webhooks_go_through_and_processes_end_whatever_the_collector_does(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-token={SECRET}")
    async with AsyncExitStack() as collectors:
        slow = await collectors.enter_async_context(CountingCollector(SLOW))
        hole = await collectors.enter_async_context(BlackHole())
        resetting = await collectors.enter_async_context(Resetting())
        endpoints = {
            "absent": f"http://127.0.0.1:{free_port()}",
            "hole": hole.endpoint,
            "slow": slow.endpoint,
            "resetting": resetting.endpoint,
        }
        async with gateways(database, tmp_path, endpoints) as made:
            statuses = await asyncio.gather(*(post_all(edge) for edge, *_ in made.values()))
            assert statuses == [[200] * WEBHOOKS] * 4
            every = WEBHOOKS * 4
            await asyncio.gather(
                *(ack_all(relay, f"to-{name}", every) for name, (_, relay, *_) in made.items())
            )

            async def all_told() -> bool:
                told = {name: [await drops(port) for port in ports] for name, (_, _, *ports) in made.items()}
                del told["slow"]
                return all(one["span"] > 0 and one["metric"] > 0 for both in told.values() for one in both)

            await until(all_told, "each process has dropped spans and metrics, and says so", patience=30)
            await until(lambda: slow.spans > 0 and slow.points > 0, "the slow one gets both")
            processes: list[Any] = [process for edge, relay, *_ in made.values() for process in (edge, relay)]
            ends = await asyncio.gather(*(stopped(process) for process in processes))
            assert [code for code, _ in ends] == [0] * 8
            assert max(seconds for _, seconds in ends) <= STOP
            for process in processes:
                said = process.output()
                assert SECRET not in said
                assert "Traceback" not in said
                assert "Transient" not in said
                # One line for spans and one for metrics, and nothing each time.
                lost = said.count("collector lost")
                assert lost <= 2 if process in made["slow"] else lost == 2
