"""One gRPC stream to a relay, from its `start` to its end."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc

from hookline.client.credential import Credential
from hookline.client.settlement_queue import SettlementQueue
from hookline.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from hookline.v1.delivery_pb2_grpc import DeliveryServiceAsyncStub

    Call = grpc.aio.StreamStreamCall[pb.SubscribeRequest, pb.SubscribeResponse]

_OPEN_WITHIN = timedelta(seconds=10)
_MISSED_HEARTBEATS = 3
"""Heartbeats in a row whose absence means that the relay is gone."""


class ConsumerStream:
    """Passes deliveries on and settlements back.

    Args:
        stub: Where to call.
        credential: What to show there.
        settlements: What is to be sent, and waits for its confirmation.
        on_deliveries: Called with each batch.
        on_draining: Called when the relay is about to stop, with the time that it leaves us.
    """

    def __init__(
        self,
        stub: "DeliveryServiceAsyncStub",
        credential: Credential,
        settlements: SettlementQueue,
        *,
        on_deliveries: Callable[[Sequence[pb.Delivery]], None],
        on_draining: Callable[[timedelta], None],
    ) -> None:
        self._stub = stub
        self._credential = credential
        self._settlements = settlements
        self._on_deliveries = on_deliveries
        self._on_draining = on_draining
        self._call: Call | None = None
        self._patience = _OPEN_WITHIN.total_seconds()
        self._told = asyncio.Event()
        """Set when one of the next two has changed."""
        self._pausing = False
        self._finishing = False

    async def open(self, start: pb.Start) -> pb.Started:
        """Start the stream.

        Raises:
            grpc.aio.AioRpcError: The relay can't be reached, or refuses.
            ConsumerError: The access token is none.
        """
        call = self._call = self._stub.Subscribe(metadata=self._credential.metadata())
        async with asyncio.timeout(_OPEN_WITHIN.total_seconds()):
            await call.write(pb.SubscribeRequest(start=start))
            first = await call.read()
        if isinstance(first, pb.SubscribeResponse) and first.HasField("started"):
            self._patience = (
                _MISSED_HEARTBEATS * first.started.heartbeat_interval.ToTimedelta().total_seconds()
            )
            return first.started
        raise await _status(call)

    async def serve(self) -> None:
        """Receive and settle until the relay ends the stream, or `finish` was called.

        Raises:
            grpc.aio.AioRpcError: The stream broke.
            TimeoutError: The relay fell silent.
        """
        assert self._call is not None, "open() first"
        sending = asyncio.create_task(self._send(self._call))
        try:
            await self._receive(self._call)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            self._call.cancel()

    def pause(self) -> None:
        """Close the window before anything else is sent: what is given back must not come straight back."""
        self._pausing = True
        self._told.set()

    def finish(self) -> None:
        """Close our side: the relay takes back what is leased and ends the stream."""
        self._finishing = True
        self._told.set()

    async def _receive(self, call: "Call") -> None:
        while True:
            async with asyncio.timeout(self._patience):
                response = await call.read()
            if not isinstance(response, pb.SubscribeResponse):
                break
            match response.WhichOneof("message"):
                case "deliveries":
                    self._on_deliveries(response.deliveries.deliveries)
                case "confirmation":
                    self._settlements.confirm(response.confirmation)
                case "draining":
                    self._on_draining(response.draining.grace.ToTimedelta())
                case _:
                    pass  # a heartbeat, or something newer than this client
        status = await _status(call)
        if status.code() is not grpc.StatusCode.OK:
            raise status

    async def _send(self, call: "Call") -> None:
        """Send settlements until `finish`, then what is left of them, and close our side."""
        told = asyncio.create_task(self._told.wait())
        filled = asyncio.create_task(self._settlements.filled())
        try:
            while True:
                await asyncio.wait({filled, told}, return_when=asyncio.FIRST_COMPLETED)
                if told.done():
                    self._told.clear()
                    told = asyncio.create_task(self._told.wait())
                while (request := self._next_request()) is not None:
                    await call.write(request)
                if self._finishing:
                    break
                if filled.done():
                    filled = asyncio.create_task(self._settlements.filled())
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the reader learns why
        finally:
            told.cancel()
            filled.cancel()

    def _next_request(self) -> pb.SubscribeRequest | None:
        if self._pausing:
            self._pausing = False
            return pb.SubscribeRequest(window=pb.Window())
        batch = self._settlements.take()
        return None if batch is None else pb.SubscribeRequest(settlements=batch)


async def _status(call: "Call") -> grpc.aio.AioRpcError:
    """How the stream ended, as an error."""
    return grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
