"""A consumer: an async iterator over one subscription that outlives connections and relays."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
from opentelemetry import context as current_context
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from hookline.client.delivery import Delivery
from hookline.client.errors import SubscriptionRefused
from hookline.client.settlement import PendingSettlement
from hookline.client.settlement_queue import SettlementQueue
from hookline.client.stream import ConsumerStream
from hookline.client.trace import ProcessTraces
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceStub

if TYPE_CHECKING:
    from hookline.v1.delivery_pb2_grpc import DeliveryServiceAsyncStub

_log = logging.getLogger("hookline.client")

_FATAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What doesn't get better by trying again."""
_CLOSE_PATIENCE = 5.0
"""Seconds that leaving the block waits for outstanding confirmations."""
_SHORT_LIFE = 0.2
"""Seconds: a stream that breaks sooner is not opened again at once."""
_LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect."""
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # the default waits two minutes for a relay that is long back
    ("grpc.max_receive_message_length", -1),  # the window bounds it, and a single event may be large
)


class Consumer:
    """Receives the events of one subscription.

    Use it as an async context manager and iterate over it. It connects when it is entered, reconnects for as
    long as it takes, and on leaving waits for the confirmation of what was settled. What was received and not
    settled goes to another consumer, or comes again.

    Args:
        target: The relay's address, as gRPC writes it: "localhost:50051", "dns:///relay:50051".
        subscription: Name of the subscription.
        window: The most deliveries to hold unsettled at any time.
        window_bytes: The most bytes of bodies to hold; 0 leaves it to the relay.
        name: A name for this consumer in the relay's logs.
        credentials: For TLS; None connects in the clear.
    """

    def __init__(
        self,
        target: str,
        subscription: str,
        *,
        window: int = 1000,
        window_bytes: int = 0,
        name: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._start = pb.Start(
            subscription=subscription,
            window=pb.Window(max_events=window, max_bytes=window_bytes),
            consumer=name or f"{socket.gethostname()}:{os.getpid()}",
        )
        self._traces = ProcessTraces(subscription)
        self._settlements = SettlementQueue()
        self._buffer: deque[pb.Delivery] = deque()
        self._changed = asyncio.Event()
        self._stream: ConsumerStream | None = None
        self._channel: grpc.aio.Channel | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._draining = False
        self._outer_context = current_context.get_current()
        self._held = 0
        """Deliveries that the user of this consumer has received and not settled."""

    def __repr__(self) -> str:
        return f"<Consumer {self._start.subscription} buffered={len(self._buffer)} {self._settlements!r}>"

    @property
    def failed(self) -> int:
        """How many settlements had no effect; their events come again."""
        return self._settlements.failed

    @property
    def confirmed(self) -> int:
        """How many settlements the relay has confirmed as committed."""
        return self._settlements.confirmed

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._outer_context = current_context.get_current()
        if self._credentials is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(self._target, self._credentials, options=_CHANNEL_OPTIONS)
        self._task = asyncio.create_task(self._run(DeliveryServiceStub(self._channel)))
        self._task.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until what was settled is confirmed, for a few seconds at the most, and disconnect."""
        assert self._task is not None
        assert self._channel is not None
        self._closing = True
        self._buffer.clear()
        current_context.attach(self._outer_context)
        try:
            if not self._task.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_PATIENCE):
                        await self._settlements.emptied()
                        if self._stream is not None:
                            self._stream.finish()
                            await asyncio.wait({self._task})
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._channel.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery; waits as long as it takes.

        Raises:
            SubscriptionRefused: The relay won't serve this subscription, now or later.
        """
        while not self._buffer:
            assert self._task is not None, "use `async with Consumer(...) as consumer`"
            if self._task.done():
                if not self._task.cancelled():
                    self._task.result()
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        delivery = Delivery(self._buffer.popleft(), self._settle)
        self._held += 1
        # Current in the loop's body, until the next delivery replaces it.
        current_context.attach(self._traces.start(delivery) or self._outer_context)
        return delivery

    def _settle(self, delivery: Delivery, settlement: pb.Settlement) -> PendingSettlement:
        settlement.traceparent = self._traces.end(delivery)
        pending = PendingSettlement(settlement)
        self._settlements.add(pending)
        self._held -= 1
        self._finish_when_drained()
        return pending

    async def _run(self, stub: "DeliveryServiceAsyncStub") -> None:
        """Connect, serve, and connect again, until closed or refused."""
        try:
            while not self._closing:
                self._stream = await self._connect(stub)
                opened = asyncio.get_running_loop().time()
                try:
                    await self._stream.serve()
                except (grpc.aio.AioRpcError, TimeoutError) as error:
                    if not _is_transient(error):
                        raise _refusal(error) from None
                finally:
                    self._stream = None
                    self._draining = False
                    # Not handed to anybody here yet, and by now the relay's to hand out again.
                    self._buffer.clear()
                    self._settlements.send_again()
                if asyncio.get_running_loop().time() - opened < _SHORT_LIFE:
                    await asyncio.sleep(_SHORT_LIFE)
        finally:
            self._settlements.close("the consumer was closed, or refused, before the relay confirmed")

    async def _connect(self, stub: "DeliveryServiceAsyncStub") -> ConsumerStream:
        stream = ConsumerStream(
            stub, self._settlements, on_deliveries=self._on_deliveries, on_draining=self._on_draining
        )
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_is_transient),
                wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE),
                before_sleep=self._say_unreachable,
                reraise=True,
            ):
                with attempt:
                    await stream.open(self._start)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from None
        return stream

    def _say_unreachable(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        why = (
            f"{error.code().name}: {error.details()}"
            if isinstance(error, grpc.aio.AioRpcError)
            else "no answer"
        )
        _log.warning("relay %s can't be reached (%s); trying again", self._target, why)

    def _on_deliveries(self, deliveries: Sequence[pb.Delivery]) -> None:
        if not self._closing and not self._draining:
            self._buffer.extend(deliveries)
            self._changed.set()

    def _on_draining(self) -> None:
        """The relay is about to stop: leave it what nobody here has begun, and go when the rest is settled."""
        self._draining = True
        self._buffer.clear()
        self._finish_when_drained()

    def _finish_when_drained(self) -> None:
        if self._draining and self._held <= 0 and self._stream is not None:
            self._stream.finish()


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() not in _FATAL
    return isinstance(error, TimeoutError)


def _refusal(error: BaseException) -> SubscriptionRefused:
    if isinstance(error, grpc.aio.AioRpcError):
        return SubscriptionRefused(f"{error.code().name}: {error.details()}")
    return SubscriptionRefused(str(error))
