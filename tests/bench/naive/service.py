"""The naive service's processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import readiness
from bench.process import free_port, run_python
from bench.rig import API_KEY, Rig
from bench.service import Edge, WholePath
from bench.tally import Tally

_SCHEMA = Path(__file__).with_name("schema.sql")
_UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@asynccontextmanager
async def edge(rig: Rig, database: str) -> AsyncIterator[Edge]:
    """The HTTP side, on a new schema."""
    await rig.server.execute(_SCHEMA.read_text(), database)
    port = free_port()
    env = {"DATABASE_URL": rig.server.url(database), "BEGINI_API_KEY": API_KEY}
    arguments = ("bench.naive.edge:app", "--port", str(port), *_UVICORN)
    async with run_python("naive-edge", "uvicorn", *arguments, logs=rig.logs, env=env) as running:
        await readiness.http(running, port)
        yield Edge(port=port, path="/v1/webhooks/begini", pids={"edge": running.pid})


@asynccontextmanager
async def path(rig: Rig, database: str) -> AsyncIterator[WholePath]:
    """All three processes."""
    port = free_port()
    env = {"DATABASE_URL": rig.server.url(database)}
    async with (
        run_python("naive-consumer", "bench.naive.consumer", str(port), logs=rig.logs),
        edge(rig, database) as front,
        run_python(
            "naive-relay", "bench.naive.relay", f"127.0.0.1:{port}", logs=rig.logs, env=env, talks=True
        ) as relay,
    ):
        yield WholePath(
            port=front.port,
            path=front.path,
            pids={**front.pids, "relay": relay.pid},
            tally=lambda: relay.ask(None, Tally),
        )
