"""`hookline.v1.DeliveryService`: what consumers call."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import structlog

from hookline.core.window import Limit
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.relay.access.caller import Caller
from hookline.relay.access.gate import Access
from hookline.relay.dispatch import Dispatcher
from hookline.relay.received import duration
from hookline.relay.stream import Stream
from hookline.relay.subscribers import Subscribers
from hookline.rpc import RpcError, answer, internal, invalid
from hookline.telemetry.failure import report
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceServicer

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Context = grpc.aio.ServicerContext[pb.SubscribeRequest, pb.SubscribeResponse]
    PullContext = grpc.aio.ServicerContext[pb.PullRequest, pb.PullResponse]
    SettleContext = grpc.aio.ServicerContext[pb.SettleRequest, pb.SettleResponse]

_log = structlog.get_logger(__name__)
_LONGEST_NAME = 128
_MOST_SETTLEMENTS = 100_000
_LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes of settlements. gRPC's own limit is above it: what that refuses looks as if the consumer had died."""
_SHORTEST_PULL = timedelta(milliseconds=250)
"""So that the first call after a while finds out whether anything is ready."""
_LONGEST_PULL = timedelta(seconds=60)
_DEATH_SHOWS_WITHIN = 0.1
"""Seconds. When a consumer dies, grpcio first reports the end of its messages, as if it had closed its side, and
cancels the call a moment later (seen: 0.4 ms)."""
_CONSUMER_LIVES = (RpcError, DatabaseUnavailable, StatementRefused)
"""Ends of a stream that say nothing against what its consumer holds: a message that makes no sense is a mistake, not a
death; so is being sent away."""


class DeliveryService(DeliveryServiceServicer):
    """Serves streams; a coroutine over `read` and `write`, because a generator's cleanup may run elsewhere."""

    def __init__(self, subscribers: Subscribers, access: Access, *, heartbeat: timedelta) -> None:
        self._subscribers = subscribers
        self._access = access
        self._heartbeat = heartbeat

    async def Subscribe(self, request_iterator: object, context: "Context") -> None:  # type: ignore[override]  # noqa: N802  (the name in the contract; grpc.aio lets a handler write instead of yielding)
        """Join a subscription as one of its consumers."""
        del request_iterator
        await answer(context, self._subscribe(context))

    async def Pull(self, request: pb.PullRequest, context: "PullContext") -> pb.PullResponse:  # noqa: N802
        """Lease what is ready."""
        return await answer(context, self._pull(request))

    async def Settle(self, request: pb.SettleRequest, context: "SettleContext") -> pb.SettleResponse:  # noqa: N802
        """Settle deliveries, wherever they came from."""
        return await answer(context, self._settle(request))

    async def _settle(self, request: pb.SettleRequest) -> pb.SettleResponse:
        self._access.caller().check_may_consume(request.subscription)
        _check(request, request.settlements)
        async with self._subscribers.dispatcher(request.subscription) as dispatcher:
            return pb.SettleResponse(failures=await dispatcher.settle(request.settlements))

    async def _pull(self, request: pb.PullRequest) -> pb.PullResponse:
        caller = self._access.caller()
        caller.check_may_consume(request.subscription)
        limit = _limit(request.window)
        if limit.events == 0:
            raise invalid("EMPTY_WINDOW", "set window.max_events to how many deliveries you can take")
        wait = duration(request.wait)
        if wait is None or wait > _LONGEST_PULL:
            raise invalid("WAIT_OUT_OF_RANGE", f"wait must be between 0 s and {_LONGEST_PULL.seconds} s")
        pulling = self._subscribers.pull(
            request.subscription,
            _consumer(request.consumer),
            limit,
            wait=max(wait, _SHORTEST_PULL),
            caller=caller,
        )
        pulled = await caller.while_allowed(request.subscription, pulling)
        # What came in the moment in which it was refused is given back by who keeps the lease.
        caller.check_may_consume(request.subscription)
        return pulled.response()

    async def _subscribe(self, context: "Context") -> None:
        first = await context.read()
        if not isinstance(first, pb.SubscribeRequest) or first.WhichOneof("message") != "start":
            raise invalid("START_EXPECTED", "the first message of a stream must be `start`")
        caller = self._access.caller()
        caller.check_may_consume(first.start.subscription)
        limit = _limit(first.start.window)
        consumer = _consumer(first.start.consumer)
        async with self._subscribers.open(first.start.subscription, consumer, limit) as (dispatcher, stream):
            await context.write(self._started(dispatcher, stream))
            dispatcher.join(stream)
            name = dispatcher.subscription.name
            _log.info("consumer joined", subscription=name, consumer=consumer, **caller.named)
            reading = asyncio.create_task(self._read(context, dispatcher, stream, caller))
            writing = asyncio.create_task(self._write(context, dispatcher, stream))
            refusing = asyncio.create_task(caller.refused(name))
            ends = (reading, writing, refusing)
            took_leave = False
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and reading.exception() is None:
                    # The consumer closed its side, or it died: then this call is cancelled in a moment.
                    stream.window.limit = Limit(0, 0)
                    await asyncio.sleep(_DEATH_SHOWS_WITHIN)
                    took_leave = True
                    # It gets no more, but an answer to all that it settled.
                    dispatcher.leave(stream)
                    answered = asyncio.create_task(stream.confirmed_all())
                    await asyncio.wait({answered, writing, refusing}, return_when=asyncio.FIRST_COMPLETED)
                    answered.cancel()
                took_leave = took_leave or any(
                    task.done() and isinstance(task.exception(), _CONSUMER_LIVES) for task in ends
                )
            finally:
                if took_leave:
                    dispatcher.leave(stream)
                else:
                    dispatcher.lose(stream, "the consumer's stream broke")
                for task in (*ends, *stream.settling):
                    task.cancel()
                results = await asyncio.gather(*ends, return_exceptions=True)
                _log.info("consumer left", subscription=name, consumer=consumer)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, grpc.aio.BaseError):
                    raise result

    def _started(self, dispatcher: Dispatcher, stream: Stream) -> pb.SubscribeResponse:
        limit = stream.window.limit
        started = pb.Started(
            subscription=dispatcher.subscription.name,
            window=pb.Window(max_events=limit.events, max_bytes=limit.bytes),
        )
        started.ack_deadline.FromTimedelta(dispatcher.subscription.ack_deadline)
        started.heartbeat_interval.FromTimedelta(self._heartbeat)
        return pb.SubscribeResponse(started=started)

    async def _read(self, context: "Context", dispatcher: Dispatcher, stream: Stream, caller: Caller) -> None:
        """Take the consumer's messages until it closes its side."""
        while isinstance(request := await context.read(), pb.SubscribeRequest):
            match request.WhichOneof("message"):
                case "settlements":
                    caller.check_may_consume(dispatcher.subscription.name)
                    _check(request, request.settlements.settlements)
                    await stream.room_for_settlements()
                    stream.owe_confirmation()
                    settling = asyncio.create_task(_settle(dispatcher, stream, request.settlements))
                    stream.settling.add(settling)
                    settling.add_done_callback(stream.settling.discard)
                case "window":
                    stream.window.limit = _limit(request.window)
                    dispatcher.changed()
                case "start":
                    raise invalid(
                        "SECOND_START", "`start` may be sent once; to change the window send `window`"
                    )
                case _:
                    raise invalid("EMPTY_MESSAGE", "a message must hold a window or settlements")

    async def _write(self, context: "Context", dispatcher: Dispatcher, stream: Stream) -> None:
        """Write what is to be written, and a heartbeat now and then."""
        interval = self._heartbeat.total_seconds()
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + interval
        while True:
            messages = await stream.next_messages(silence=max(0.0, beat_at - loop.time()))
            if stream.error is not None:
                raise stream.error
            if messages is None or loop.time() >= beat_at:
                messages = [*(messages or ()), _heartbeat(dispatcher)]
                beat_at = loop.time() + interval
            for message in messages:
                await context.write(message)
                stream.note_written(message)


async def _settle(dispatcher: Dispatcher, stream: Stream, batch: pb.SettlementBatch) -> None:
    """Settle a batch, and see that its consumer hears of it: a confirmation, or the end of the stream."""
    try:
        failures = await dispatcher.settle(batch.settlements)
    except (DatabaseUnavailable, StatementRefused) as error:
        stream.fail(error)
    except Exception as error:  # noqa: BLE001  (nobody awaits this task: the consumer would wait for ever)
        report(
            _log,
            "settlements failed unexpectedly",
            error,
            subscription=dispatcher.subscription.name,
            consumer=stream.consumer,
            settlements=len(batch.settlements),
        )
        stream.fail(internal("SETTLING_FAILED", "internal error: this relay could not judge a settlement"))
    else:
        stream.confirm(batch.sequence, failures)


def _check(message: "Message", settlements: Sequence[pb.Settlement]) -> None:
    if len(settlements) > _MOST_SETTLEMENTS:
        raise invalid("TOO_MANY_SETTLEMENTS", f"send at most {_MOST_SETTLEMENTS} settlements in one message")
    if (size := message.ByteSize()) > _LARGEST_MESSAGE:
        raise invalid(
            "MESSAGE_TOO_LARGE", f"a message of {size} bytes; send settlements in messages of at most 4 MiB"
        )


def _consumer(name: str) -> str:
    return name[:_LONGEST_NAME] or "unnamed"


def _limit(window: pb.Window) -> Limit:
    if window.max_events < 0 or window.max_bytes < 0:
        raise invalid("NEGATIVE_WINDOW", "a window can't be negative; 0 events pauses the stream")
    return Limit.within_bounds(events=window.max_events, bytes_=window.max_bytes)


def _heartbeat(dispatcher: Dispatcher) -> pb.SubscribeResponse:
    heartbeat = pb.Heartbeat(backlog=dispatcher.backlog, paused=dispatcher.subscription.paused)
    oldest = dispatcher.oldest_unsettled()
    if oldest is not None:
        heartbeat.oldest_unsettled_age.FromTimedelta(datetime.now(UTC) - oldest.received_at)
    return pb.SubscribeResponse(heartbeat=heartbeat)
