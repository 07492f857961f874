"""A consumer of one subscription that outlives connections and relays: an iterator, or a runner of handlers."""

import asyncio
import os
import socket
from collections.abc import Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry import context as current_context

from hookline.client.connection import Connection
from hookline.client.credential import AccessToken, Credential
from hookline.client.delivery import Delivery
from hookline.client.errors import ConsumerError
from hookline.client.interrupts import Interrupts
from hookline.client.leases import Leases
from hookline.client.outcome import Handler, settle_failed
from hookline.client.settlement_queue import SettlementQueue
from hookline.client.tls import Tls
from hookline.client.workers import Workers
from hookline.v1 import delivery_pb2 as pb

_CLOSE_PATIENCE = 5.0
"""Seconds that leaving the block waits for outstanding confirmations."""
_RUN_PATIENCE = 3.0
"""The same at the end of `run`: with its grace it has to stay below the 30 s that most supervisors allow."""
_GRACE = timedelta(seconds=25)


class Consumer:
    """Receives the events of one subscription.

    Either let it call a handler for each delivery, many at a time and one at a time of each key:

        await Consumer("localhost:50051", "decisioning", concurrency=16).run(handler)

    or use it as an async context manager and iterate over it, one delivery after the other:

        async with Consumer("localhost:50051", "decisioning") as consumer:
            async for delivery in consumer:
                await delivery.ack()

    Both connect by themselves, reconnect for as long as it takes, and on leaving wait for the confirmation of what
    was settled. What was received and not settled is released to other consumers.

    Args:
        target: The relay's address, as gRPC writes it: "localhost:50051", "dns:///relay:50051".
        subscription: Name of the subscription.
        window: The most deliveries to hold unsettled at any time.
        window_bytes: The most bytes of bodies to hold; 0 leaves it to the relay.
        concurrency: The most handlers that `run` lets run at the same time.
        name: A name for this consumer in the relay's logs.
        tls: For TLS, out of files; None connects in the clear.
        credentials: The same for who has gRPC's credentials; give one of the two.
        token: The access token, for a relay that takes some, or a function that gives it: it is called for every new
            connection and must be quick, such as reading a file. Use TLS, or whoever listens on the way has it too.
    """

    def __init__(
        self,
        target: str,
        subscription: str,
        *,
        window: int = 1000,
        window_bytes: int = 0,
        concurrency: int = 16,
        name: str | None = None,
        tls: Tls | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: AccessToken | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give at least 1")
        if tls is not None and credentials is not None:
            raise ValueError("give tls or credentials, not both")
        start = pb.Start(
            subscription=subscription,
            window=pb.Window(max_events=window, max_bytes=window_bytes),
            consumer=name or f"{socket.gethostname()}:{os.getpid()}",
        )
        self._concurrency = concurrency
        self._changed = asyncio.Event()
        self._settlements = SettlementQueue()
        self._leases = Leases(subscription, self._settlements, on_ready=self._changed.set)
        self._connection = Connection(
            target, tls or credentials, start, self._settlements, self._leases, credential=Credential(token)
        )
        self._outer_context = current_context.get_current()
        self._last: Delivery | None = None
        """What the iteration has given out last."""

    def __repr__(self) -> str:
        return f"<Consumer {self._connection!r} {self._leases!r} {self._settlements!r}>"

    @property
    def failed(self) -> int:
        """How many verdicts on what was given out had no effect; their events come again."""
        return self._settlements.failed

    @property
    def confirmed(self) -> int:
        """How many verdicts on what was given out the relay has confirmed as committed."""
        return self._settlements.confirmed

    async def run(self, handler: Handler, *, grace: timedelta = _GRACE) -> None:
        """Call the handler for each delivery, until SIGTERM or SIGINT.

        A handler that returns acks its delivery. One that raises retries it: `Retry` says when, `Reject` gives up
        for good, and of any other error the type's name is the reason. A handler may also settle by itself. Never do
        two run at the same time for one (source, ordering key), nor for one event, and those of one key run in
        their order of arrival. The leases of all that is held are extended for as long as it takes.

        On a signal nothing new is begun and what waits is released; the handlers that run have `grace` to end,
        then they are cancelled and their deliveries released. It returns when all is confirmed. A second signal
        makes it return at once. Outside the main thread there are no signals; cancel the task instead.

        It connects and disconnects by itself: don't use `async with` around it.

        Args:
            handler: An async function of one delivery.
            grace: How long running handlers have after a signal.

        Raises:
            SubscriptionRefused: The relay won't serve this subscription, now or later.
        """
        self._leases.one_at_a_time = True
        self._open()
        workers = Workers(self._leases, handler, concurrency=self._concurrency, changed=self._changed)
        with Interrupts() as interrupts:
            try:
                await _first(workers.work(), self._connection.ended(), interrupts.reach(1))
                await _first(self._wind_down(workers, grace), interrupts.reach(2))
            finally:
                workers.cancel()
                await self._connection.close()
        self._connection.check()

    async def _wind_down(self, workers: Workers, grace: timedelta) -> None:
        self._connection.stop()
        await workers.finish(grace.total_seconds())
        await self._connection.confirmed(_RUN_PATIENCE)

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._outer_context = current_context.get_current()
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until what was settled is confirmed, for a few seconds at the most, and disconnect.

        What is held unsettled is released. But if an error ends the block, the delivery that was given out last is
        settled as in a handler: so an event that ends its consumer each time uses up its attempts.
        """
        current_context.attach(self._outer_context)
        # A cancellation or Ctrl-C is not the event's doing.
        if isinstance(error, Exception) and self._last is not None and not self._last.is_settled:
            settle_failed(self._last, error)
        try:
            self._connection.stop()
            await self._connection.confirmed(_CLOSE_PATIENCE)
        finally:
            await self._connection.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery; waits as long as it takes.

        Raises:
            SubscriptionRefused: The relay won't serve this subscription, now or later.
        """
        while (delivery := self._leases.take()) is None:
            assert self._connection.is_open, "use `async with Consumer(...) as consumer`"
            if self._connection.has_ended:
                self._connection.check()
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        self._last = delivery
        # Current in the loop's body, until the next delivery replaces it.
        current_context.attach(delivery.context or self._outer_context)
        return delivery

    def _open(self) -> None:
        if self._connection.is_open:
            raise ConsumerError(
                "a consumer connects once: make another one, and don't use `async with` around run()"
            )
        self._connection.open(on_end=self._changed.set)


async def _first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, and cancel the others."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
