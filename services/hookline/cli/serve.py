"""`hookline run`, `edge`, `relay` and `migrate`: the processes that serve.

Each imports its part when it runs: an edge that never loads gRPC starts faster and takes half of the memory.
"""
# ruff: noqa: PLC0415

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hookline.config import Settings, load
from hookline.errors import ConfigError
from hookline.process import SUPERVISED
from hookline.telemetry.logs import configure

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; by default hookline.toml, if there is one."),
]
HttpOption = Annotated[
    str | None, typer.Option("--http", help="Address for webhooks, such as 127.0.0.1:8080.")
]
GrpcOption = Annotated[
    str | None, typer.Option("--grpc", help="Address for consumers, such as 127.0.0.1:50051.")
]


def run(
    *,
    config: ConfigOption = None,
    http: HttpOption = None,
    grpc: GrpcOption = None,
    data: Annotated[Path, typer.Option(help="Where the embedded PostgreSQL keeps its data.")] = Path(
        ".hookline"
    ),
) -> None:
    """Run everything: edge and relay, and without HOOKLINE_DATABASE_URL a PostgreSQL of our own."""
    from hookline import supervisor

    settings = _load(config, http=http, grpc=grpc)
    if sys.stderr.isatty():
        settings = _with(settings, "telemetry", log_format="console")
    configure(settings.telemetry, serves=True, shares_stderr=True)

    async def on_ready(statuses: supervisor.StatusAddresses) -> None:
        for taken in statuses.in_use:
            typer.echo(f"{taken} is in use, so another port was chosen for the status", err=True)
        typer.echo(
            f"webhooks   http://{settings.edge.http}/v1/webhooks/{{{','.join(settings.sources)}}}", err=True
        )
        typer.echo(f"consumers  {settings.relay.grpc}  ({', '.join(settings.subscriptions)})", err=True)
        typer.echo(f"status     http://{statuses.edge} (edge), http://{statuses.relay} (relay)", err=True)

    asyncio.run(supervisor.run(settings, config_file=config, data=data, on_ready=on_ready))


def edge(*, config: ConfigOption = None, http: HttpOption = None) -> None:
    """Receive webhooks over HTTP."""
    import uvloop

    from hookline.edge.server import serve

    settings = _load(config, http=http)
    configure(settings.telemetry, serves=True, shares_stderr=SUPERVISED in os.environ)
    uvloop.run(serve(settings))


def relay(*, config: ConfigOption = None, grpc: GrpcOption = None) -> None:
    """Deliver events to consumers over gRPC."""
    import uvloop

    from hookline.admin.server import AdminServices
    from hookline.relay.server import serve

    settings = _load(config, grpc=grpc)
    configure(settings.telemetry, serves=True, shares_stderr=SUPERVISED in os.environ)
    uvloop.run(serve(settings, AdminServices))


def migrate(*, config: ConfigOption = None) -> None:
    """Bring the database's schema up to date."""
    from hookline.store.migrate import migrate as apply

    settings = _load(config)
    configure(settings.telemetry)
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    applied = asyncio.run(apply(dsn, shards=settings.database.shards))
    typer.echo(f"{len(applied)} migrations applied" if applied else "up to date")


def _load(file: Path | None, *, http: str | None = None, grpc: str | None = None) -> Settings:
    """The settings, with what the command line says on top."""
    settings = load(file)
    if http is not None:
        settings = _with(settings, "edge", http=http)
    if grpc is not None:
        settings = _with(settings, "relay", grpc=grpc)
    return settings


def _with(settings: Settings, section: str, **values: Any) -> Settings:
    old = getattr(settings, section)
    try:
        new = type(old)(**{**old.model_dump(), **values})
    except ValueError:
        [(name, value)] = values.items()
        raise ConfigError(f'--{name} {value}: must be an address such as "127.0.0.1:8080"') from None
    return settings.model_copy(update={section: new})
