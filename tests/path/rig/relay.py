"""A relay inside the test's own event loop, built as relay/server.py builds one."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc

from hookline import config
from hookline.relay import server as relay_server
from hookline.relay.dispatch import Dispatcher
from hookline.relay.service import DeliveryService
from hookline.relay.subscribers import Subscribers
from hookline.relay.wakeup import Wakeup
from hookline.store.session import Session
from hookline.telemetry.tracing import Tracing
from hookline.v1.delivery_pb2_grpc import add_DeliveryServiceServicer_to_server

Subscriptions = Mapping[str, Mapping[str, Any]]
ALL: Subscriptions = {"all": {"start": "earliest"}}
HEARTBEAT = timedelta(milliseconds=200)
"""Short: a heartbeat is how a test learns that the relay has nothing more to say."""


class Relay:
    """Serves on a free port, or again on the one it is given; leaving the block stops it without a drain."""

    def __init__(
        self,
        dsn: str,
        subscriptions: Subscriptions = ALL,
        *,
        lease: timedelta = timedelta(seconds=10),
        heartbeat: timedelta = HEARTBEAT,
        port: int = 0,
    ) -> None:
        self._dsn = dsn
        self._settings = config.Settings(
            subscriptions={name: config.Subscription(**values) for name, values in subscriptions.items()},
            relay=config.Relay(lease=lease, poll=timedelta(milliseconds=50), heartbeat=heartbeat),
        )
        self.port = port

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def dispatcher(self, name: str = "all") -> Dispatcher:
        """Live state of a subscription that has a consumer."""
        return self.subscribers._dispatchers[name]

    async def __aenter__(self) -> Self:
        await relay_server.declare_subscriptions(self._dsn, self._settings)
        wakeup = Wakeup(Session(self._dsn, name="relay wakeup"))
        tracing = Tracing(config.Telemetry(), service="hookline-relay")
        self.subscribers = Subscribers(
            self._dsn, self._settings.relay, tracing, wakeup, owner=f"test {uuid.uuid4().hex[:8]}"
        )
        self._server = grpc.aio.server(options=relay_server._OPTIONS)
        add_DeliveryServiceServicer_to_server(
            DeliveryService(self.subscribers, heartbeat=self._settings.relay.heartbeat), self._server
        )
        self.port = self._server.add_insecure_port(self.target)
        self._listening = asyncio.create_task(wakeup.run())
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)
        await self.subscribers.close()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
