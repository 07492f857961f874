"""An edge and a relay as processes, and all that can happen to webhooks in a few seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx

from hookline.simulator.signature import Signer
from path.rig.database import connect
from path.rig.process import KEY, EdgeProcess, RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from path.rig.webhooks import body, post

_UNKNOWN_TYPE = (
    b'{"uid":"u","event":{"type":"psychometric_score.complete","details":"none of what the schema wants"}}'
)


class Gateway(NamedTuple):
    """What runs, and where it says how it is."""

    edge: EdgeProcess
    relay: RelayProcess
    database: str
    targets: dict[str, str]


@asynccontextmanager
async def running(database: str, directory: Path) -> AsyncIterator[Gateway]:
    """A gateway whose traces are recorded, for a collector that isn't there."""
    targets = {f"hookline-{part}": f"127.0.0.1:{free_port()}" for part in ("edge", "relay")}
    config = write_config(
        directory / "hookline.toml",
        {
            "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
            "subscriptions.all": {"start": "earliest"},
            "subscriptions.all.retry": {"wait": "fixed", "delay": "50ms", "max_attempts": 2},
            "subscriptions.filtered": {"start": "earliest", "expression": "body.nothing.of.this == 1"},
            "edge": {
                "status": targets["hookline-edge"],
                "commit_deadline": "300ms",
                "request_deadline": "1s",
            },
            "relay": {
                "status": targets["hookline-relay"],
                "lease": "2s",
                "heartbeat": "200ms",
                "poll": "50ms",
            },
            "rejections": {"body": "omit", "rate": 0.1, "burst": 1},
            "telemetry": {"otlp_endpoint": f"http://127.0.0.1:{free_port()}"},
        },
    )
    async with AsyncExitStack() as parts:
        relay, edge = RelayProcess(database, config), EdgeProcess(database, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield Gateway(await edge.ready(), await relay.ready(), database, targets)


async def make_things_happen(gateway: Gateway) -> None:
    """Accepted, duplicate, refused and failed webhooks; acks, a retry and a dead letter."""
    async with RawStream(gateway.relay.target) as stream, RawStream(gateway.relay.target) as other:
        await stream.start("all")
        await other.start("filtered")
        for number in range(10):
            content = body(f"uid-{number}")
            await post(gateway.edge.url, content)
            await post(gateway.edge.url, content)
        deliveries = await stream.deliveries(10)
        await stream.ack(*deliveries[:8])
        await stream.reject(deliveries[8], reason="a test")
        await stream.retry(deliveries[9], delay=timedelta(milliseconds=50))
        await stream.ack(*await stream.deliveries(1))
        await other.ack(*await other.deliveries(10))
        await post(gateway.edge.url, _UNKNOWN_TYPE)
        await stream.ack(*await stream.deliveries(1))
        await _refuse(gateway)
        await _fail(gateway)


async def _refuse(gateway: Gateway) -> None:
    """Wrong signatures, more than are kept; and what isn't HTTP."""
    async with httpx.AsyncClient() as client:
        for _ in range(5):
            answer = await client.post(
                gateway.edge.url,
                content=body(),
                headers={"Content-Type": "application/json", "X-Signature": Signer("another").sign(b"x")},
            )
            assert answer.status_code == HTTPStatus.FORBIDDEN
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.edge.port)
    writer.write(b"this is no HTTP\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def _fail(gateway: Gateway) -> None:
    """A commit that somebody's lock holds up."""
    content = body()
    headers = {"Content-Type": "application/json", "X-Signature": Signer(KEY).sign(content)}
    async with (
        connect(gateway.database) as connection,
        httpx.AsyncClient() as client,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE hookline.events IN ACCESS EXCLUSIVE MODE")
        answer = await client.post(gateway.edge.url, content=content, headers=headers)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
