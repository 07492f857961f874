"""A relay that does what the test says: a real gRPC server, for what no real relay could be made to do on cue."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc

from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceServicer, add_DeliveryServiceServicer_to_server
from path.rig.stream import PATIENCE

STALE = pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN


def message(
    name: str, *, token: str = "", key: str = "", attempt: int = 1, source: str = "begini", **more: Any
) -> pb.Delivery:
    """A delivery of the event `name`."""
    return pb.Delivery(
        token=(token or name).encode(),
        event_id=name,
        source=source,
        type="x.y",
        ordering_key=key,
        attempt=attempt,
        **more,
    )


class ScriptedStream:
    """One consumer's stream, from the relay's end."""

    def __init__(self, context: Any, *, confirms: bool) -> None:
        self._context = context
        self._confirms = confirms
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self._ending = asyncio.Event()
        self._code = grpc.StatusCode.OK
        self.heard = asyncio.Condition()
        self.start: pb.Start | None = None
        self.windows: list[int] = []
        self.settlements: list[pb.Settlement] = []
        """In the order of arrival."""
        self.unconfirmed: list[int] = []
        """Sequences of batches that were not answered."""
        self.stale: set[str] = set()
        """Tokens whose settlements fail."""
        self.is_half_closed = False

    async def begin(self, ack_deadline: timedelta) -> None:
        """Hear `start` and answer it."""
        started = pb.Started()
        started.ack_deadline.FromTimedelta(ack_deadline)
        started.heartbeat_interval.FromTimedelta(timedelta(seconds=PATIENCE))
        self.start = (await self._context.read()).start
        await self._write(pb.SubscribeResponse(started=started))

    async def serve(self) -> None:
        """Hear what comes until the consumer closes its side, or the test ends the call."""
        reading = asyncio.create_task(self._read())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            ending.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)
        if self._code is not grpc.StatusCode.OK:
            await self._context.abort(self._code, "as the test says")

    async def deliver(self, *deliveries: pb.Delivery) -> None:
        batch = pb.DeliveryBatch(deliveries=deliveries)
        await self._write(pb.SubscribeResponse(deliveries=batch))

    async def drain(self, grace: timedelta) -> None:
        draining = pb.Draining()
        draining.grace.FromTimedelta(grace)
        await self._write(pb.SubscribeResponse(draining=draining))

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """End the call, whatever the consumer still has to say."""
        self._code = code
        self._ending.set()

    def verdicts(self) -> list[tuple[str, str]]:
        """What was said of which token, without extensions."""
        return [(kind, one.token.decode()) for one in self.settlements if (kind := kind_of(one)) != "extend"]

    def extensions(self) -> list[str]:
        """The tokens that were extended, as often as they were."""
        return [one.token.decode() for one in self.settlements if kind_of(one) == "extend"]

    async def until(self, condition: Any) -> None:
        """Wait until what was heard is as the condition wants it."""
        async with asyncio.timeout(PATIENCE), self.heard:
            await self.heard.wait_for(condition)

    async def until_verdicts(self, *expected: tuple[str, str]) -> None:
        """Wait until exactly these were heard, in any order."""
        await self.until(lambda: len(self.verdicts()) >= len(expected))
        assert sorted(self.verdicts()) == sorted(expected)

    async def confirm(self, sequences: Iterable[int] | None = None) -> None:
        """Answer batches, all that weren't if none are named."""
        for sequence in list(self.unconfirmed if sequences is None else sequences):
            self.unconfirmed.remove(sequence)
            await self._answer(sequence, [])

    async def _write(self, response: pb.SubscribeResponse) -> None:
        async with self._writing:
            await self._context.write(response)

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            async with self.heard:
                if request.HasField("window"):
                    self.windows.append(request.window.max_events)
                else:
                    self.settlements.extend(request.settlements.settlements)
                self.heard.notify_all()
            if request.HasField("settlements"):
                await self._hear(request.settlements.sequence, request.settlements.settlements)
        # A consumer that hung up looks the same so far, but there is nobody to write to.
        await self._write(pb.SubscribeResponse(heartbeat=pb.Heartbeat()))
        async with self.heard:
            self.is_half_closed = True
            self.heard.notify_all()

    async def _hear(self, sequence: int, settlements: Sequence[pb.Settlement]) -> None:
        if not self._confirms:
            self.unconfirmed.append(sequence)
            return
        await self._answer(sequence, [one.token for one in settlements if one.token.decode() in self.stale])

    async def _answer(self, sequence: int, stale: Iterable[bytes]) -> None:
        failures = [pb.SettlementFailure(token=token, reason=STALE, detail="stale") for token in stale]
        confirmation = pb.SettlementConfirmation(sequence=sequence, failures=failures)
        await self._write(pb.SubscribeResponse(confirmation=confirmation))


class ScriptedRelay(DeliveryServiceServicer):
    """Accepts streams and leaves the rest to the test.

    Args:
        ack_deadline: As it is told to consumers.
        confirms: Whether settlements are answered at once.
    """

    def __init__(self, *, ack_deadline: timedelta = timedelta(seconds=30), confirms: bool = True) -> None:
        self._ack_deadline = ack_deadline
        self.confirms = confirms
        self._streams: asyncio.Queue[ScriptedStream] = asyncio.Queue()
        self._server = grpc.aio.server()
        self.port = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def stream(self) -> ScriptedStream:
        """The next stream that a consumer opens."""
        async with asyncio.timeout(PATIENCE):
            return await self._streams.get()

    async def __aenter__(self) -> Self:
        add_DeliveryServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)

    async def Subscribe(self, _requests: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        stream = ScriptedStream(context, confirms=self.confirms)
        await stream.begin(self._ack_deadline)
        self._streams.put_nowait(stream)
        await stream.serve()


def kind_of(settlement: pb.Settlement) -> str:
    kind = settlement.WhichOneof("verdict")
    assert kind is not None
    return kind
