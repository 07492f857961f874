"""Hookline's processes: the subject."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from bench import readiness
from bench.process import Process, free_port, run_python
from bench.rig import API_KEY, Rig
from bench.service import Edge, WholePath
from bench.stream_consumer import Manner
from bench.tally import Tally

SUBSCRIPTION = "bench"
_DELIVERY_SERVICE = "hookline.v1.DeliveryService"
_SOURCE = '[sources.begini]\nscheme = "begini"\nsecrets = ["env:BEGINI_API_KEY"]\n'


async def migrate(rig: Rig, database: str) -> None:
    """Bring a database to Hookline's schema."""
    env = _env(rig, database)
    async with run_python("hookline-migrate", "hookline", "migrate", logs=rig.logs, env=env) as running:
        await running.wait()


@asynccontextmanager
async def edge(rig: Rig, database: str, *, telemetry: str = "") -> AsyncIterator[Edge]:
    """The HTTP side, after the migrations. `telemetry` is that table of its configuration."""
    port = free_port()
    config = _config(rig, "edge", _SOURCE, telemetry)
    env = _env(rig, database)
    await migrate(rig, database)
    arguments = ("edge", "--config", config, "--http", f"127.0.0.1:{port}")
    async with run_python("hookline-edge", "hookline", *arguments, logs=rig.logs, env=env) as running:
        await readiness.http(running, port)
        yield Edge(port=port, path="/v1/webhooks/begini", pids={"edge": running.pid})


@asynccontextmanager
async def relay(
    rig: Rig,
    database: str,
    *subscriptions: str,
    ordering: Literal["none", "key"] = "none",
    start: str = "earliest",
    name: str = "relay",
    telemetry: str = "",
) -> AsyncIterator[tuple[Process, int]]:
    """The gRPC side; with the port that it listens on.

    Args:
        rig: The server, and where logs go.
        database: Its database.
        subscriptions: Names of those that it serves. Those that are new begin at `start`.
        ordering: Theirs.
        start: "earliest", or a time.
        name: Tells it apart from others at the same time.
        telemetry: That table of its configuration.
    """
    port = free_port()
    tables = [
        f'[subscriptions.{subscription}]\nsources = ["begini"]\ntypes = ["*"]\n'
        f'ordering = "{ordering}"\nstart = "{start}"\n'
        for subscription in subscriptions
    ]
    config = _config(rig, name, _SOURCE, *tables, telemetry)
    arguments = ("relay", "--config", config, "--grpc", f"127.0.0.1:{port}")
    env = _env(rig, database)
    async with run_python(f"hookline-{name}", "hookline", *arguments, logs=rig.logs, env=env) as running:
        await readiness.health(running, port, _DELIVERY_SERVICE)
        yield running, port


@asynccontextmanager
async def consumer(
    rig: Rig, port: int, subscription: str, *, manner: Manner = "ack", name: str = "stream-consumer"
) -> AsyncIterator[Process]:
    """A consumer of the stream; `name` tells it apart from others at the same time."""
    arguments = (f"127.0.0.1:{port}", subscription, manner)
    async with run_python(name, "bench.stream_consumer", *arguments, logs=rig.logs, talks=True) as running:
        yield running


@asynccontextmanager
async def path(rig: Rig, database: str, *, telemetry: str = "") -> AsyncIterator[WholePath]:
    """Edge, relay and one consumer. `telemetry` is that table of their configuration."""
    async with (
        edge(rig, database, telemetry=telemetry) as front,
        relay(rig, database, SUBSCRIPTION, telemetry=telemetry) as (back, port),
        consumer(rig, port, SUBSCRIPTION) as taker,
    ):
        yield WholePath(
            port=front.port,
            path=front.path,
            pids={**front.pids, "relay": back.pid},
            tally=lambda: taker.ask("tally", Tally),
        )


def _config(rig: Rig, name: str, *tables: str) -> str:
    file: Path = rig.logs / f"{name}.toml"
    file.write_text("\n".join(tables))
    return str(file)


def _env(rig: Rig, database: str) -> dict[str, str]:
    return {
        "HOOKLINE_DATABASE_URL": rig.server.url(database),
        "BEGINI_API_KEY": API_KEY,
        # Spans are a cost of their own; without a collector none are made, whatever this shell is set to.
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    }
