"""The other direction: a consumer that the relay calls, for subscriptions with `push`."""

import asyncio
from collections.abc import Hashable
from datetime import timedelta
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from opentelemetry import context as current_context

from hookline.client.delivery import Delivery
from hookline.client.interrupts import Interrupts
from hookline.client.lanes import Lanes
from hookline.client.outcome import Handler, handle
from hookline.client.push_batch import PushBatch
from hookline.v1 import consumer_pb2
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse
from hookline.v1.consumer_pb2_grpc import ConsumerServiceServicer, add_ConsumerServiceServicer_to_server

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[DeliverRequest, DeliverResponse]

SERVICE: str = consumer_pb2.DESCRIPTOR.services_by_name["ConsumerService"].full_name
_GRACE = timedelta(seconds=25)
_LONGEST_MARGIN = 1.0
_MARGIN = 0.1
"""Part of the call's time, and the most seconds, that are kept for the answer to arrive."""
_FAREWELL = 0.5
"""Seconds for the last answers to be sent, when there is no more time for handlers."""
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # the relay bounds it, and a single event may be large
    # Relays may ping through long calls; the default calls that an attack below 300 s ("too_many_pings").
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)


async def serve_push(
    handler: Handler,
    address: str,
    *,
    concurrency: int = 16,
    credentials: grpc.ServerCredentials | None = None,
    grace: timedelta = _GRACE,
) -> None:
    """Call the handler for each delivery that relays push to `address`, until SIGTERM or SIGINT.

    On a signal no more calls are taken and what waits is released; the handlers that run have `grace` to end, then
    they are cancelled and their deliveries released. A second signal doesn't wait for them. Outside the main thread
    there are no signals; cancel the task instead. For the rest see `PushServer`.
    """
    with Interrupts() as interrupts:
        async with PushServer(handler, address, concurrency=concurrency, credentials=credentials) as server:
            await interrupts.reach(1)
            stopping = asyncio.create_task(server.stop(grace))
            again = asyncio.create_task(interrupts.reach(2))
            try:
                await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                again.cancel()
                await asyncio.gather(stopping, again, return_exceptions=True)


class PushServer(ConsumerServiceServicer):
    """Serves `hookline.v1.ConsumerService` with a handler, and gRPC's health service.

        async with PushServer(handler, "[::]:50051"):
            ...

    A handler that returns acks its delivery. One that raises retries it: `Retry` says when, `Reject` gives up for
    good, and of any other error the type's name is the reason. A handler may also settle by itself; awaiting that
    doesn't wait for the relay's commit, which comes after the answer. Never do two run at the same time for one
    (subscription, source, ordering key), nor for one event, and those of one key run in their order of arrival.

    A call is answered a little before its deadline, whatever has been done by then: what nobody has begun is
    released; a handler that still runs is cancelled, and its delivery retried.

    Args:
        handler: An async function of one delivery.
        address: Where to listen, as gRPC writes it: "[::]:50051"; port 0 chooses one.
        concurrency: The most handlers that run at the same time.
        credentials: For TLS, and to ask the relay for its certificate; None listens in the clear.
    """

    def __init__(
        self,
        handler: Handler,
        address: str,
        *,
        concurrency: int = 16,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; give at least 1")
        self._handler = handler
        self._address = address
        self._concurrency = concurrency
        self._credentials = credentials
        self._lanes: Lanes[_Work] = Lanes()
        self._running: dict[asyncio.Task[None], _Work] = {}
        self._batches: set[PushBatch] = set()
        self._stopping = False
        self._health = health.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """Where it listens, once it does."""

    def __repr__(self) -> str:
        return f"<PushServer {self._address} calls={len(self._batches)} running={len(self._running)}>"

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            RuntimeError: It can't listen there.
        """
        self._server = grpc.aio.server(options=_OPTIONS)
        add_ConsumerServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self._address)
        else:
            self.port = self._server.add_secure_port(self._address, self._credentials)
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop at once, unless `stop` was called before."""
        await self.stop(timedelta(0))

    async def stop(self, grace: timedelta = _GRACE) -> None:
        """Take no more calls, and let the handlers that run end; then cancel them and release their deliveries."""
        assert self._server is not None, "use `async with PushServer(...)`"
        self._stopping = True
        seconds = grace.total_seconds()
        end = asyncio.get_running_loop().time() + seconds - _margin(seconds)
        await self._health.enter_graceful_shutdown()
        closing = asyncio.create_task(self._server.stop(seconds))
        for work in self._lanes.clear():
            work.delivery.release()
        for batch in self._batches:
            batch.hurry(end)
        try:
            await closing
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            await asyncio.wait({closing}, timeout=_FAREWELL)

    async def Deliver(self, request: DeliverRequest, context: "Context") -> DeliverResponse:  # noqa: N802  (the name in the contract)
        """Handle what a relay pushes."""
        batch = PushBatch(request)
        remaining = context.time_remaining()
        if remaining is None:  # a caller without a deadline, so no relay
            remaining = inf
        until = asyncio.get_running_loop().time() + remaining - _margin(remaining)
        self._batches.add(batch)
        try:
            for delivery in batch.deliveries:
                if self._stopping:
                    delivery.release()
                else:
                    self._lanes.add(_Work(batch, delivery), _lane(delivery))
            self._start_ready()
            await batch.complete(until)
            self._give_up(batch)
            return batch.answer()
        finally:
            # Also if the relay has hung up: it will hand all of it out again, so nothing of it may still run here.
            self._batches.discard(batch)
            batch.is_over = True
            for task, work in self._running.items():
                if work.batch is batch:
                    task.cancel()

    def _give_up(self, batch: PushBatch) -> None:
        """Give a verdict on what has none in time."""
        begun = {work.delivery for work in self._running.values()}
        for delivery in batch.deliveries:
            if delivery.is_settled:
                continue
            if self._stopping or delivery not in begun:
                delivery.release()
            else:
                delivery.retry(reason="not done by the call's deadline")

    def _start_ready(self) -> None:
        """Start handlers as long as there is room."""
        while len(self._running) < self._concurrency and (work := self._lanes.take()) is not None:
            if work.batch.is_over or work.delivery.is_settled:
                self._lanes.leave(_lane(work.delivery))
                continue
            task = asyncio.create_task(self._work(work))
            self._running[task] = work
            task.add_done_callback(self._on_done)

    async def _work(self, work: "_Work") -> None:
        work.batch.begin(work.delivery)
        if work.delivery.context is not None:
            current_context.attach(work.delivery.context)
        try:
            await handle(self._handler, work.delivery)
        except asyncio.CancelledError:
            if self._stopping:
                work.delivery.release()
            else:
                # Unless there is a verdict already: from inside the handler, such as a task of its own that somebody
                # cancelled.
                work.delivery.retry(reason="CancelledError")

    def _on_done(self, task: asyncio.Task[None]) -> None:
        work = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a push handler ended unexpectedly", "exception": error, "task": task}
            )
        self._lanes.leave(_lane(work.delivery))
        self._start_ready()


class _Work(NamedTuple):
    """A delivery, and the call that it came with."""

    batch: PushBatch
    delivery: Delivery


def _lane(delivery: Delivery) -> Hashable:
    # Without an ordering key, what must not be worked on twice at a time is still the event itself.
    which = (delivery.source, delivery.ordering_key) if delivery.ordering_key else delivery.event_id
    return (delivery.subscription, which)


def _margin(seconds: float) -> float:
    return min(_LONGEST_MARGIN, seconds * _MARGIN)
