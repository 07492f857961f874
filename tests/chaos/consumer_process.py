"""A consuming service that journals what it gets: TARGET JOURNAL BEHAVIOUR SEED WINDOW SUBSCRIPTION...

The behaviours are honest (acks everything, with the SDK), crashing (dies with deliveries in hand), hanging (stops, and
its connection stays), silent (reads on and settles nothing) and forging (acks with tokens that aren't its own).
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Iterable
from pathlib import Path
from time import monotonic_ns

import grpc

from hookline.client import Consumer, SettlementFailed
from hookline.client import Delivery as HeldDelivery
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.delivery_pb2_grpc import DeliveryServiceStub

_PAUSE = 0.1
"""Seconds before a bad consumer connects again."""
_MOST_HELD = 8


class Journal:
    """Lines that are in the file before anything is settled, so that a kill forgets none."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, kind: str, subscription: str, deliveries: Iterable[tuple[str, int]]) -> None:
        lines = [
            f"{monotonic_ns()} {kind} {subscription} {event_id} {attempt}\n"
            for event_id, attempt in deliveries
        ]
        os.write(self._file, "".join(lines).encode())


async def consume(target: str, subscription: str, window: int, journal: Journal) -> None:
    """Ack everything, until the process is told to end."""
    acks: set[asyncio.Task[None]] = set()
    async with Consumer(target, subscription, window=window) as consumer:
        async for delivery in consumer:
            journal.write("received", subscription, [(delivery.event_id, delivery.attempt)])
            # Given at once: this loop may end before a task of its own has begun.
            ack = asyncio.create_task(_confirmed(delivery, delivery.ack(), subscription, journal))
            acks.add(ack)
            ack.add_done_callback(acks.discard)


async def _confirmed(
    delivery: HeldDelivery, ack: Awaitable[None], subscription: str, journal: Journal
) -> None:
    try:
        await ack
    except SettlementFailed:
        return
    journal.write("confirmed", subscription, [(delivery.event_id, delivery.attempt)])


class BadConsumer:
    """Speaks the bare contract and does one thing wrong, over and over."""

    def __init__(self, subscription: str, window: int, behaviour: str, seed: str, journal: Journal) -> None:
        self._subscription = subscription
        self._behaviour = behaviour
        self._journal = journal
        self._rng = random.Random(seed)
        self._start = pb.Start(
            subscription=subscription, window=pb.Window(max_events=window), consumer=behaviour
        )
        self._held = 0
        self._goal = self._rng.randint(1, min(window, _MOST_HELD))
        self.foreign: BadConsumer | None = None
        """Whose tokens it also sends."""
        self.tokens: list[bytes] = []

    async def run(self, target: str) -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await self._serve(DeliveryServiceStub(channel).Subscribe())
                await asyncio.sleep(_PAUSE)

    async def _serve(
        self, call: "grpc.aio.StreamStreamCall[pb.SubscribeRequest, pb.SubscribeResponse]"
    ) -> None:
        await call.write(pb.SubscribeRequest(start=self._start))
        while isinstance(response := await call.read(), pb.SubscribeResponse):
            held = response.deliveries.deliveries
            if held:
                self._journal.write("held", self._subscription, [(d.event_id, d.attempt) for d in held])
                self._held += len(held)
                self.tokens += [delivery.token for delivery in held]
            if self._behaviour == "crashing" and self._held >= self._goal:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._behaviour == "hanging" and self._held >= self._goal:
                os.kill(os.getpid(), signal.SIGSTOP)
            if self._behaviour == "forging" and held:
                forged = [self._forge(delivery) for delivery in held]
                acks = [pb.Settlement(token=token, ack=pb.Ack()) for token in forged]
                await call.write(
                    pb.SubscribeRequest(settlements=pb.SettlementBatch(sequence=len(acks), settlements=acks))
                )
            if response.HasField("confirmation"):
                taken = response.confirmation.sequence - len(response.confirmation.failures)
                self._journal.write("taken" if taken else "refused", self._subscription, [("-", taken)])

    def _forge(self, delivery: pb.Delivery) -> bytes:
        """A token that names nothing of this subscription."""
        foreign = self.foreign.tokens if self.foreign is not None else []
        return self._rng.choice(
            [
                b"",
                self._rng.randbytes(len(delivery.token)),
                delivery.token[:-1],
                delivery.token + b"\0",
                *foreign[-1:],
            ]
        )


async def be_honest(target: str, names: list[str], window: int, journal: Journal) -> None:
    consuming = [asyncio.create_task(consume(target, name, window, journal)) for name in names]
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({stopping, *consuming}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, *consuming):
        task.cancel()
    for result in await asyncio.gather(*consuming, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def be_bad(consumers: list[BadConsumer], target: str) -> None:
    for consumer, other in zip(consumers, [*consumers[1:], consumers[0]], strict=True):
        consumer.foreign = other if other is not consumer else None
    await asyncio.gather(*(consumer.run(target) for consumer in consumers))


if __name__ == "__main__":
    _target, _file, _behaviour, _seed, _window, *_names = sys.argv[1:]
    _journal = Journal(Path(_file))
    if _behaviour == "honest":
        asyncio.run(be_honest(_target, _names, int(_window), _journal))
    else:
        _bad = [BadConsumer(name, int(_window), _behaviour, f"{_seed} {name}", _journal) for name in _names]
        asyncio.run(be_bad(_bad, _target))
