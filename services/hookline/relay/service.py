"""`hookline.v1.DeliveryService`: what consumers call."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import structlog

from hookline.core.window import Limit
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.relay.dispatch import Dispatcher
from hookline.relay.received import ReceivedSettlements
from hookline.relay.status import RpcError, abort, invalid, unavailable
from hookline.relay.stream import Stream
from hookline.relay.subscribers import Subscribers
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceServicer

if TYPE_CHECKING:
    from datetime import timedelta

    Context = grpc.aio.ServicerContext[pb.SubscribeRequest, pb.SubscribeResponse]

_log = structlog.get_logger(__name__)
_LONGEST_NAME = 128


class DeliveryService(DeliveryServiceServicer):
    """Serves streams; a coroutine over `read` and `write`, because a generator's cleanup may run elsewhere."""

    def __init__(self, subscribers: Subscribers, *, heartbeat: "timedelta") -> None:
        self._subscribers = subscribers
        self._heartbeat = heartbeat

    async def Subscribe(self, request_iterator: object, context: "Context") -> None:  # type: ignore[override]  # noqa: N802  (the name in the contract; grpc.aio lets a handler write instead of yielding)
        """Join a subscription as one of its consumers."""
        del request_iterator
        try:
            await self._subscribe(context)
        except RpcError as error:
            await abort(context, error)
        except (DatabaseUnavailable, StatementRefused) as error:
            await abort(context, unavailable("DATABASE_UNAVAILABLE", f"{error}; connect again"))

    async def _subscribe(self, context: "Context") -> None:
        first = await context.read()
        if not isinstance(first, pb.SubscribeRequest) or first.WhichOneof("message") != "start":
            raise invalid("START_EXPECTED", "the first message of a stream must be `start`")
        limit = _limit(first.start.window)
        consumer = first.start.consumer[:_LONGEST_NAME] or "unnamed"
        async with self._subscribers.open(first.start.subscription, consumer, limit) as (dispatcher, stream):
            await context.write(self._started(dispatcher, stream))
            dispatcher.join(stream)
            _log.info("consumer joined", subscription=dispatcher.subscription.name, consumer=consumer)
            reading = asyncio.create_task(self._read(context, dispatcher, stream))
            writing = asyncio.create_task(self._write(context, dispatcher, stream))
            try:
                await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and reading.exception() is None:
                    # The consumer closed its side: it gets no more, but an answer to all that it settled.
                    dispatcher.leave(stream)
                    answered = asyncio.create_task(stream.confirmed_all())
                    await asyncio.wait({answered, writing}, return_when=asyncio.FIRST_COMPLETED)
                    answered.cancel()
            finally:
                dispatcher.leave(stream)
                for task in (reading, writing, *stream.settling):
                    task.cancel()
                results = await asyncio.gather(reading, writing, return_exceptions=True)
                _log.info("consumer left", subscription=dispatcher.subscription.name, consumer=consumer)
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

    async def _read(self, context: "Context", dispatcher: Dispatcher, stream: Stream) -> None:
        """Take the consumer's messages until it closes its side."""
        while isinstance(request := await context.read(), pb.SubscribeRequest):
            match request.WhichOneof("message"):
                case "settlements":
                    await stream.room_for_settlements()
                    stream.owe_confirmation()
                    received = ReceivedSettlements(dispatcher, stream, request.settlements)
                    settling = asyncio.create_task(received.settle())
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
        """Write what is to be written, and a heartbeat into every long silence."""
        silence = self._heartbeat.total_seconds()
        while True:
            messages = await stream.next_messages(silence=silence)
            if stream.aborted is not None:
                raise unavailable("RELAY_STOPPED", f"{stream.aborted}; connect again")
            if messages is None:
                messages = [_heartbeat(dispatcher)]
            for message in messages:
                await context.write(message)
                stream.note_written(message)


def _limit(window: pb.Window) -> Limit:
    if window.max_events < 0 or window.max_bytes < 0:
        raise invalid("NEGATIVE_WINDOW", "a window can't be negative; 0 events pauses the stream")
    return Limit.within_bounds(events=window.max_events, bytes_=window.max_bytes)


def _heartbeat(dispatcher: Dispatcher) -> pb.SubscribeResponse:
    heartbeat = pb.Heartbeat()
    oldest = dispatcher.oldest_unsettled()
    if oldest is not None:
        heartbeat.oldest_unsettled_age.FromTimedelta(datetime.now(UTC) - oldest.received_at)
    return pb.SubscribeResponse(heartbeat=heartbeat)
