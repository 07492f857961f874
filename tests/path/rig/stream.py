"""A consumer on the bare contract: no SDK, so that it can also send what no SDK would."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceStub
from path.rig.access import bearer

PATIENCE = 10.0
"""Seconds until a test gives up waiting for what must come: far more than it ever takes."""
_QUIET_HEARTBEATS = 2
_FAREWELL = 1.0
"""Seconds that leaving politely may take: the relay may be dead by now."""


class StreamEnded(Exception):
    """The relay ended the stream."""


class RawStream:
    """One Subscribe call. Keeps what arrives until the test asks for it."""

    def __init__(self, target: str, *, token: str = "", options: tuple[tuple[str, Any], ...] = ()) -> None:
        unlimited = ("grpc.max_receive_message_length", -1)
        self._channel = grpc.aio.insecure_channel(target, options=(unlimited, *options))
        self.call: Any = DeliveryServiceStub(self._channel).Subscribe(metadata=bearer(token))
        self._deliveries: deque[pb.Delivery] = deque()
        self._confirmations: dict[int, pb.SettlementConfirmation] = {}
        self._sequence = 0
        self.heartbeats: list[pb.Heartbeat] = []
        self.batches: list[int] = []
        """Deliveries in each batch that arrived."""
        self.draining: pb.Draining | None = None
        self.started: pb.Started | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self.started is not None and not self.call.done():
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self.finish()
        await self.die()

    async def die(self) -> None:
        """End without a word, as a consumer does that was killed."""
        self.call.cancel()
        await self._channel.close()

    async def start(
        self, subscription: str = "all", *, events: int = 100, size: int = 0, consumer: str = "test"
    ) -> pb.Started:
        """Send `start` and wait for `started`."""
        window = pb.Window(max_events=events, max_bytes=size)
        start = pb.Start(subscription=subscription, window=window, consumer=consumer)
        await self.send(pb.SubscribeRequest(start=start))
        while self.started is None:
            await self.read()
        return self.started

    async def send(self, request: pb.SubscribeRequest) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.call.write(request)

    async def resize(self, *, events: int, size: int = 0) -> None:
        await self.send(pb.SubscribeRequest(window=pb.Window(max_events=events, max_bytes=size)))

    async def settle(self, settlements: Iterable[pb.Settlement]) -> int:
        """Send settlements and answer the batch's sequence."""
        self._sequence += 1
        batch = pb.SettlementBatch(sequence=self._sequence, settlements=settlements)
        await self.send(pb.SubscribeRequest(settlements=batch))
        return self._sequence

    async def ack(self, *deliveries: pb.Delivery) -> pb.SettlementConfirmation:
        """Ack and wait for the confirmation."""
        return await self.confirmation(await self.send_acks(*deliveries))

    async def send_acks(self, *deliveries: pb.Delivery) -> int:
        return await self.settle(pb.Settlement(token=d.token, ack=pb.Ack()) for d in deliveries)

    async def retry(
        self, *deliveries: pb.Delivery, delay: timedelta | None = None, reason: str = ""
    ) -> pb.SettlementConfirmation:
        """Ask for another attempt and wait for the confirmation."""
        return await self._judge(deliveries, retry=_retry(delay, reason))

    async def reject(self, *deliveries: pb.Delivery, reason: str = "") -> pb.SettlementConfirmation:
        """Reject and wait for the confirmation."""
        return await self._judge(deliveries, reject=pb.Reject(reason=reason))

    async def extend(
        self, *deliveries: pb.Delivery, lease: timedelta | None = None
    ) -> pb.SettlementConfirmation:
        """Extend and wait for the confirmation."""
        extend = pb.Extend()
        if lease is not None:
            extend.lease.FromTimedelta(lease)
        return await self._judge(deliveries, extend=extend)

    async def release(self, *deliveries: pb.Delivery) -> pb.SettlementConfirmation:
        """Release and wait for the confirmation."""
        return await self._judge(deliveries, release=pb.Release())

    async def _judge(self, deliveries: Iterable[pb.Delivery], **verdict: Any) -> pb.SettlementConfirmation:
        return await self.confirmation(
            await self.settle(pb.Settlement(token=delivery.token, **verdict) for delivery in deliveries)
        )

    async def confirmation(self, sequence: int) -> pb.SettlementConfirmation:
        async with asyncio.timeout(PATIENCE):
            while sequence not in self._confirmations:
                await self.read()
        return self._confirmations.pop(sequence)

    def has_confirmation(self, sequence: int) -> bool:
        """Whether it has arrived already."""
        return sequence in self._confirmations

    async def deliveries(self, count: int) -> list[pb.Delivery]:
        """The next `count` deliveries."""
        async with asyncio.timeout(PATIENCE):  # heartbeats keep a stalled stream from falling silent
            while len(self._deliveries) < count:
                await self.read()
        return [self._deliveries.popleft() for _ in range(count)]

    async def rest(self) -> list[pb.Delivery]:
        """Whatever comes until the relay has been silent for two heartbeats."""
        quiet, seen = 0, len(self._deliveries)
        while quiet < _QUIET_HEARTBEATS:
            kind = await self.read()
            quiet = quiet + 1 if kind == "heartbeat" and len(self._deliveries) == seen else 0
            seen = len(self._deliveries)
        return await self.deliveries(seen)

    async def until_draining(self) -> pb.Draining:
        async with asyncio.timeout(PATIENCE):
            while self.draining is None:
                await self.read()
        return self.draining

    async def finish(self) -> None:
        """Close our side, and read until the relay has ended the call."""
        await self.call.done_writing()
        await self.until_end()

    async def until_end(self) -> None:
        try:
            while True:
                await self.read()
        except (StreamEnded, grpc.aio.AioRpcError):
            pass

    async def read(self) -> str:
        """Take one message from the relay and answer its kind."""
        async with asyncio.timeout(PATIENCE):
            message = await self.call.read()
        if not isinstance(message, pb.SubscribeResponse):
            raise StreamEnded(f"{await self.call.code()}: {await self.call.details()}")
        kind = message.WhichOneof("message")
        match kind:
            case "started":
                self.started = message.started
            case "deliveries":
                self.batches.append(len(message.deliveries.deliveries))
                self._deliveries.extend(message.deliveries.deliveries)
            case "confirmation":
                self._confirmations[message.confirmation.sequence] = message.confirmation
            case "heartbeat":
                self.heartbeats.append(message.heartbeat)
            case "draining":
                self.draining = message.draining
        assert kind is not None, "the relay sent an empty message"
        return kind

    async def refusal(self) -> tuple[grpc.StatusCode, ErrorInfo]:
        """How the relay ended the call: the code, and the ErrorInfo of its google.rpc.Status."""
        await self.until_end()
        trailers = dict(await self.call.trailing_metadata() or ())
        status = Status.FromString(trailers["grpc-status-details-bin"])
        info = ErrorInfo()
        assert status.details[0].Unpack(info)
        code = await self.call.code()
        assert status.code == code.value[0]
        assert status.message == await self.call.details()
        return code, info


def _retry(delay: timedelta | None, reason: str) -> pb.Retry:
    retry = pb.Retry(reason=reason)
    if delay is not None:
        retry.delay.FromTimedelta(delay)
    return retry


def reasons(answer: pb.SettlementConfirmation | pb.SettleResponse) -> dict[bytes, int]:
    """Why settlements failed, by their tokens; each must say so to people too."""
    assert all(failure.detail for failure in answer.failures)
    return {failure.token: failure.reason for failure in answer.failures}


def ids(deliveries: Iterable[pb.Delivery]) -> list[str]:
    """The event ids of deliveries."""
    return [delivery.event_id for delivery in deliveries]
