"""Run the relay as a process of its own."""

import asyncio
import os
import socket
import uuid
from datetime import timedelta

import grpc
import structlog
from grpc_health.v1 import health as health_names
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from hookline.config import Settings
from hookline.errors import ConfigError
from hookline.model import SubscriptionName
from hookline.process import Stop, calm_garbage_collection
from hookline.relay.service import DeliveryService
from hookline.relay.subscribers import Subscribers
from hookline.relay.wakeup import Wakeup
from hookline.store import subscriptions
from hookline.store.session import Session
from hookline.telemetry.tracing import Tracing
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
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


async def serve(settings: Settings) -> None:
    """Deliver events until told to stop; then let consumers settle what they hold, and give up the leases."""
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    stop = Stop()
    await declare_subscriptions(dsn, settings)
    tracing = Tracing(settings.telemetry, service="hookline-relay")
    wakeup = Wakeup(Session(dsn, name="relay wakeup"))
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    subscribers = Subscribers(dsn, settings.relay, tracing, wakeup, owner=owner)
    server = grpc.aio.server(options=_OPTIONS)
    add_DeliveryServiceServicer_to_server(
        DeliveryService(subscribers, heartbeat=settings.relay.heartbeat), server
    )
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((SERVICE, health_names.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = _bind(server, settings.relay.grpc)
    listening = asyncio.create_task(wakeup.run())
    await server.start()
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    where = settings.relay.grpc.rpartition(":")[0]
    _log.info("relay listening", grpc=f"{where}:{port}", owner=owner)
    calm_garbage_collection()
    try:
        await stop.wait()
    finally:
        # Drain before stopping: server.stop() ends streams without a word.
        await checks.enter_graceful_shutdown()
        await subscribers.drain(DRAIN_GRACE)
        await server.stop(grace=0.5)
        await subscribers.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await tracing.shutdown()
        _log.info("relay stopped")


async def declare_subscriptions(dsn: str, settings: Settings) -> None:
    """Make the database's subscriptions agree with the configuration."""
    session = Session(dsn, name="relay start")
    try:
        for name, wanted in settings.subscriptions.items():
            subscription = subscriptions.Subscription(
                name=SubscriptionName(name),
                sources=wanted.sources,
                types=wanted.types,
                ordering=wanted.ordering,
                ack_deadline=wanted.ack_deadline,
            )
            await subscriptions.declare(session, subscription, start=wanted.start, within=_WITHIN)
    finally:
        await session.close()


def _bind(server: grpc.aio.Server, where: str) -> int:
    try:
        return server.add_insecure_port(where)
    except RuntimeError:
        raise ConfigError(f"relay.grpc = {where!r}: can't listen there; is the port in use?") from None
