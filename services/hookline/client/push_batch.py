"""One call of a relay: the deliveries that came with it, and the verdicts that go back."""

import asyncio
import contextlib
from math import inf

from hookline.client.delivery import Delivery
from hookline.client.settlement import PendingSettlement
from hookline.client.trace import ProcessTraces
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse


class PushBatch:
    """Gathers verdicts until all deliveries have one, or there is no more time."""

    def __init__(self, request: DeliverRequest) -> None:
        self._traces = ProcessTraces(request.subscription)
        self._response = DeliverResponse()
        self._complete = asyncio.Event()
        self._timeout: asyncio.Timeout | None = None
        self._until = inf
        self.deliveries = [
            Delivery(message, self._settle, request.subscription) for message in request.deliveries
        ]
        """In the order in which they are to be processed."""
        self.is_over = False
        """Nobody waits for verdicts any more."""
        if not self.deliveries:
            self._complete.set()

    def __repr__(self) -> str:
        return f"<PushBatch settled={len(self._response.settlements)} of {len(self.deliveries)}>"

    def begin(self, delivery: Delivery) -> None:
        """The work on a delivery begins: start its span."""
        self._traces.start(delivery)

    async def complete(self, until: float) -> None:
        """Wait until all have a verdict, but no longer than until this loop time."""
        self._until = min(self._until, until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(None if self._until == inf else self._until) as self._timeout:
                await self._complete.wait()

    def hurry(self, until: float) -> None:
        """Wait no longer than this any more."""
        self._until = min(self._until, until)
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._until)

    def answer(self) -> DeliverResponse:
        """The verdicts; later ones change nothing."""
        self.is_over = True
        return self._response

    def _settle(self, delivery: Delivery, settlement: pb.Settlement) -> PendingSettlement:
        pending = PendingSettlement(settlement)
        if settlement.HasField("extend"):
            pending.fail(
                "the time of a push call can't be extended; raise `push.deadline` of the subscription"
            )
            return pending
        self._traces.end(delivery, settlement)
        if not self.is_over:
            self._response.settlements.append(settlement)
            if len(self._response.settlements) == len(self.deliveries):
                self._complete.set()
        # The relay commits it after the answer, for which this is needed: waiting here would wait for ever.
        pending.confirm()
        return pending
