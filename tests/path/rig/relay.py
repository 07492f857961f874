"""A relay inside the test's own event loop, built as relay/server.py builds one."""

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self

from hookline import config
from hookline.model import SubscriptionName
from hookline.relay import server as relay_server
from hookline.relay.dispatch import Dispatcher
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing

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
        access: Literal["open", "tokens"] = "open",
        beside: relay_server.Services | None = None,
    ) -> None:
        self._dsn = dsn
        self._settings = config.Settings(
            subscriptions={name: config.Subscription(**values) for name, values in subscriptions.items()},
            relay=config.Relay(
                lease=lease, poll=timedelta(milliseconds=50), heartbeat=heartbeat, access=access
            ),
        )
        self.port = port
        self._beside = beside

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def lives(self) -> bool:
        """Whether everything still runs that runs as long as the relay does."""
        background = self._relay.background
        return background is not None and not any(task.done() for task in background._tasks)

    def dispatcher(self, name: str = "all") -> Dispatcher:
        """Live state of a subscription that has a consumer."""
        return self.subscribers._served[SubscriptionName(name)].dispatcher

    async def __aenter__(self) -> Self:
        await relay_server.declare_subscriptions(self._dsn, self._settings)
        self._relay = relay_server.Relay(
            self._dsn,
            self._settings.relay.model_copy(update={"grpc": self.target}),
            Tracing(config.Telemetry(), service="hookline-relay"),
            Metrics(config.Telemetry(), service="hookline-relay"),
            self._beside,
        )
        self.subscribers = self._relay.subscribers
        self.port = self._relay.port
        await self._relay.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._relay.stop(grace=0)
        if self._beside is not None:
            await self._beside.close()
