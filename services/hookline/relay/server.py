"""Run the relay as a process of its own."""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import grpc
import structlog
from grpc_health.v1 import health as health_names
from grpc_reflection.v1alpha import reflection

from hookline import config, status
from hookline.config import Settings
from hookline.errors import ConfigError
from hookline.process import Background, Stop, calm_garbage_collection, given_up_when
from hookline.relay import chores
from hookline.relay.access.exposure import warn_if_exposed
from hookline.relay.access.gate import access_of
from hookline.relay.credentials import credentials
from hookline.relay.gauges import Gauges
from hookline.relay.health import Health
from hookline.relay.metrics import RelayMetrics
from hookline.relay.replayer import Replayer
from hookline.relay.service import DeliveryService
from hookline.relay.subscribers import Subscribers
from hookline.relay.wakeup import ACCESS, Wakeup
from hookline.store import subscription_changes, subscriptions
from hookline.store.schema import check_schema
from hookline.store.session import Session
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing
from hookline.telemetry.wide_line import Choice
from hookline.tls.certificates import Certificates
from hookline.tls.pair import PairFiles
from hookline.v1 import delivery_pb2
from hookline.v1.delivery_pb2_grpc import add_DeliveryServiceServicer_to_server

_log = structlog.get_logger(__name__)

SERVICE: str = delivery_pb2.DESCRIPTOR.services_by_name["DeliveryService"].full_name
DRAIN_GRACE = timedelta(seconds=2.5)
"""How long consumers may settle what they hold when the relay stops."""
_WITHIN = timedelta(seconds=10)
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second relay on the same port is a mistake, not a way to share
    # Clients may ping through silences; the default calls that an attack below 300 s ("too_many_pings").
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Above what the services take, so that they refuse it themselves: gRPC would end the call without a reason.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


class Services(Protocol):
    """Further services of the same server."""

    def register(self, server: grpc.aio.Server) -> tuple[str, ...]:
        """Add them to a server that hasn't started; answers their full names."""

    async def close(self) -> None:
        """Give up what they hold, after the server has stopped."""


class Relay:
    """One relay: its gRPC server, and everything that works behind it.

    Args:
        dsn: The database.
        settings: `[relay]`.
        tracing: Where spans go.
        metrics: Where it counts.
        beside: Further services of the same server.
        log_attempts: Which attempts get a log line of their own.
        listens_at: The database without a connection pooler, where `dsn` leads to one; hints are heard there.
        retention: `[retention]`.
    """

    def __init__(
        self,
        dsn: str,
        settings: config.Relay,
        tracing: Tracing,
        metrics: Metrics,
        beside: Services | None = None,
        *,
        log_attempts: Choice = "all",
        listens_at: str | None = None,
        retention: config.Retention = config.Retention(),  # noqa: B008  (it is frozen)
    ) -> None:
        self._certificates = (
            Certificates(PairFiles("relay.tls", settings.tls), "grpc", metrics) if settings.tls else None
        )
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._wakeup = Wakeup(Session(listens_at or dsn, name="relay wakeup"))
        self._wakeup.on_control = self._on_control
        counts = RelayMetrics(metrics)
        self.subscribers = Subscribers(
            dsn, settings, tracing, counts, self._wakeup, owner=self.owner, log_attempts=log_attempts
        )
        self._replayer = Replayer(dsn, self.owner, lease=settings.lease)
        self._chores = Session(dsn, name="relay chores")
        self._retention = retention
        self._gauges = Gauges(
            Session(dsn, name="relay gauges"), metrics, counts, self.subscribers.services, retention
        )
        self._access = access_of(settings.access, Session(dsn, name="relay access"))
        self._server = grpc.aio.server(interceptors=self._access.interceptors, options=_OPTIONS)
        add_DeliveryServiceServicer_to_server(
            DeliveryService(self.subscribers, self._access, heartbeat=settings.heartbeat), self._server
        )
        self.health = Health(Session(dsn, name="relay health"), self._server)
        self._names = (SERVICE, *(beside.register(self._server) if beside is not None else ()))
        reflection.enable_server_reflection(
            (*self._names, health_names.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        self.port = _bind(self._server, settings.grpc, self._certificates)
        self.background: Background | None = None

    async def start(self) -> None:
        """Take calls."""
        await self._access.start()
        self.background = Background(
            self._wakeup.run(),
            self.subscribers.run(),
            self.subscribers.forwarder.run(),
            self._replayer.run(),
            chores.run(self._chores, self._retention),
            self.health.run(),
            self._gauges.run(),
            *self._access.jobs(),
            *([self._certificates.run()] if self._certificates else ()),
        )
        await self._server.start()
        await self.health.start(self._names)

    async def drain(self) -> None:
        """Take no new consumers, and let those that there are settle what they hold."""
        await self.health.drain()
        await self.subscribers.drain(DRAIN_GRACE)

    async def stop(self, *, grace: float = 0.5) -> None:
        """Stop taking calls, and give up the leases. Drain before: this ends streams without a word."""
        await self._server.stop(grace=grace)
        if self.background is not None:
            await self.background.cancel()
        await self.subscribers.close()

    def _on_control(self, kind: str) -> None:
        if kind == ACCESS:
            self._access.hear()
            return
        self.subscribers.hear(kind)
        if not kind:
            self._replayer.wake()


async def serve(settings: Settings, further: Callable[[str], Services]) -> None:
    """Deliver events until told to stop; then let consumers settle what they hold, and give up the leases.

    Args:
        settings: What to do.
        further: Makes the services that are to run beside the deliveries, given the database's URL.

    Raises:
        ConfigError: Something has to be mended before it can serve.
        MigrationError: The database's schema is older than this program.
        BackgroundFailed: It could not go on; starting again may help.
    """
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    stop = Stop()
    stopping = asyncio.create_task(stop.wait())
    with given_up_when(stopping, told="relay stopped"):
        await declare_subscriptions(dsn, settings)
    stopping.cancel()
    tracing = Tracing(settings.telemetry, service="hookline-relay")
    metrics = Metrics(settings.telemetry, service="hookline-relay")
    beside = further(dsn)
    relay = Relay(
        dsn,
        settings.relay,
        tracing,
        metrics,
        beside,
        log_attempts=settings.telemetry.log_webhooks,
        listens_at=settings.direct_dsn(),
        retention=settings.retention,
    )
    try:
        async with status.serving(
            settings.relay.status,
            setting="relay.status",
            service="hookline-relay",
            readiness=relay.health.checks,
            metrics=metrics,
        ):
            await _serve(relay, settings, stop)
    finally:
        await beside.close()
        # Side by side: each waits for a collector that may never answer.
        await asyncio.gather(tracing.shutdown(), metrics.shutdown())
    _log.info("relay stopped")


async def _serve(relay: Relay, settings: Settings, stop: Stop) -> None:
    await relay.start()
    assert relay.background is not None
    where = settings.relay.grpc.rpartition(":")[0]
    warn_if_exposed(settings.relay)
    _log.info("relay listening", grpc=f"{where}:{relay.port}", owner=relay.owner)
    calm_garbage_collection()
    try:
        await relay.background.until(stop)
    finally:
        await relay.drain()
        await relay.stop()


async def declare_subscriptions(dsn: str, settings: Settings) -> None:
    """Make the database's subscriptions agree with the configuration."""
    session = Session(dsn, name="relay start")
    try:
        await check_schema(session, within=_WITHIN)
        # A name whose deletion was interrupted can be declared only when that has ended.
        await subscription_changes.finish_deletions(session, within=_WITHIN)
        for name, wanted in settings.subscriptions.items():
            await subscriptions.declare(session, wanted.declared(name), start=wanted.start, within=_WITHIN)
    finally:
        await session.close()


def _bind(server: grpc.aio.Server, where: str, certificates: Certificates | None) -> int:
    try:
        if certificates is not None:
            return server.add_secure_port(where, credentials(certificates))
        return server.add_insecure_port(where)
    except RuntimeError:
        raise ConfigError(f"relay.grpc = {where!r}: can't listen there; is the port in use?") from None
