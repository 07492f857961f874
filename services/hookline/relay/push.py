"""A consumer that is called: what waits for it, and what became of each delivery."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from hookline.core.subscription import Push, Subscription
from hookline.core.window import Limit
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.relay import wire
from hookline.relay.delivery import Delivery
from hookline.relay.holder import Holder
from hookline.relay.push_answer import PushAnswer
from hookline.relay.push_call import Answered, CallOutcome, Expired, Failed, Lost, PushCall, Untouched
from hookline.relay.push_line import PushLine
from hookline.relay.token import TokenCodec
from hookline.store.settlements import AttemptOutcome
from hookline.telemetry.failure import report
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest

_log = structlog.get_logger(__name__)

_TRIES = 3
"""Within one attempt, for deliveries that nothing speaks against."""
_UNNAMED = "the consumer's answer doesn't name it"


class Engine(Protocol):
    """What a called consumer asks of its subscription's dispatcher."""

    subscription: Subscription
    """As it is now."""
    tokens: TokenCodec

    def join(self, holder: Holder) -> None:
        """Let it take part."""

    def leave(self, holder: Holder) -> None:
        """Take back what it holds; that costs no attempt."""

    def changed(self) -> None:
        """Its window was changed."""

    def release(self, deliveries: Iterable[Delivery], *, reason: str, first: bool) -> None:
        """Nobody has touched these: hand them out again, before all others or after."""

    def suspect(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """One of these may have killed its consumer; the only one has."""

    def fail(self, deliveries: Iterable[Delivery], outcome: AttemptOutcome, reason: str) -> None:
        """The attempts failed."""

    async def settle(self, settlements: Sequence[pb.Settlement]) -> list[pb.SettlementFailure]:
        """Commit verdicts."""


class PushConsumer(Holder):
    """Calls the consumer of one subscription, for one relay.

    What it is sent waits in a queue, out of which up to `concurrency` calls are filled. Its leases don't end by
    themselves: every call has an end, the subscription's ack deadline at the latest, and then says itself what became
    of its deliveries.

    A call that breaks or isn't answered in time may have been the victim of another one beside it: nothing new is
    sent until those have ended too, and what was lost is reported together. So what is reported alone was alone.

    While the line to the consumer is out of order the window is closed: nothing is handed out, no attempt is spent.
    """

    def __init__(self, subscription: Subscription, push: Push, engine: Engine) -> None:
        self._full = Limit.within_bounds(
            events=push.max_events * push.concurrency, bytes_=wire.MAX_MESSAGE_BYTES * push.concurrency
        )
        super().__init__(push.target, self._full)
        self._name = subscription.name
        self._push = push
        self._engine = engine
        self._queue: deque[Delivery] = deque()
        self._calls = 0
        """Under way."""
        self._lost: list[tuple[Delivery, Lost | Expired]] = []
        """What calls have lost, until those beside them have ended too."""
        self._draining = False
        self._line = PushLine(push, subscription=subscription.name, on_changed=self._on_line_changed)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return (
            f"<PushConsumer {self.consumer} {self.window!r} queued={len(self._queue)} calls={self._calls} "
            f"{self._line!r}>"
        )

    def start(self) -> None:
        """Take part in the subscription."""
        jobs = [self._call_loop() for _ in range(self._push.concurrency)]
        self._tasks = [asyncio.create_task(job) for job in (*jobs, self._line.run())]
        self._engine.join(self)

    def drain(self, grace: timedelta) -> None:
        """Begin no more calls. `emptied` tells when those under way are answered, for which there is no hurry here."""
        del grace
        self._draining = True
        self._on_line_changed()

    def abort(self, reason: str) -> None:
        """End all calls; `stop` it then."""
        _log.warning("push consumer is called no more", **self._named(), reason=reason)
        self._draining = True
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End calls that are still under way, and give back what they hold: nobody knows what became of it."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._engine.leave(self)
        await self._line.close()

    def send(self, deliveries: list[Delivery]) -> None:
        """Lease deliveries to this consumer."""
        for delivery in deliveries:
            delivery.deadline = math.inf
        self._queue.extend(deliveries)
        self._wake.set()

    async def _call_loop(self) -> None:
        while True:
            while not self._queue or self._lost:
                self._wake.clear()
                await self._wake.wait()
            if batch := self._take_batch():
                await self._deliver(batch)

    def _take_batch(self) -> list[Delivery]:
        """As many as fit into one call; drops what isn't ours any more, and may not be by now."""
        batch: list[Delivery] = []
        doubtful: list[Delivery] = []
        size = 0
        now = asyncio.get_running_loop().time()
        while self._queue and len(batch) < self._push.max_events:
            delivery = self._queue[0]
            if batch and size + delivery.size > wire.MAX_MESSAGE_BYTES:
                break
            self._queue.popleft()
            if delivery.shard.valid_until <= now:
                doubtful.append(delivery)
            elif self._holds(delivery):
                batch.append(delivery)
                size += delivery.size
        self._release(doubtful)
        return batch

    async def _deliver(self, batch: list[Delivery]) -> None:
        request = DeliverRequest(subscription=self._name)
        for delivery in batch:
            wire.add(request.deliveries, delivery, self._engine.tokens)
        call = PushCall(
            request,
            deadline=self._push.deadline,
            within=self._engine.subscription.ack_deadline,
            # Each try of a killer may take another consumer with it: one is enough to know.
            tries=1 if any(delivery.portion for delivery in batch) else _TRIES,
        )
        self._calls += 1
        try:
            await self._conclude(batch, request, await self._line.carry(call))
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("push answer not settled", **self._named(), reason=str(error))
            self._release(batch)
        except Exception as error:  # noqa: BLE001  (a mistake of ours must neither stop it all nor come back for ever)
            report(_log, "push call failed unexpectedly", error, **self._named())
            if held := self._held(batch):
                self._engine.suspect(held, f"internal error of the relay: {type(error).__name__}")
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._report_lost()

    async def _conclude(self, batch: list[Delivery], request: DeliverRequest, outcome: CallOutcome) -> None:
        match outcome:
            case Answered(response):
                await self._settle(PushAnswer(request, response), batch)
            case Failed(reason):
                held = self._held(batch)
                if len(held) == 1:
                    self._engine.fail(held, "failed", reason)
                elif held:
                    self._engine.suspect(held, reason)
            case Untouched():
                self._release(batch)
            case Lost() | Expired():
                self._lost += [(delivery, outcome) for delivery in batch]

    async def _settle(self, answer: PushAnswer, batch: list[Delivery]) -> None:
        if answer.foreign:
            _log.warning("push answer names deliveries that weren't in the call", **self._named())
        by_token = dict(zip(answer.tokens, batch, strict=True))
        self._fail_held([by_token[token] for token in answer.unnamed], _UNNAMED)
        for failure in await self._engine.settle(answer.settlements):
            if PushAnswer.is_void(failure):
                self._fail_held([by_token[failure.token]], failure.detail)

    def _report_lost(self) -> None:
        """Say what became of the calls that broke, now that none is left."""
        lost = [(delivery, outcome) for delivery, outcome in self._lost if self._holds(delivery)]
        self._lost.clear()
        self._wake.set()
        match lost:
            case []:
                pass
            case [(delivery, Expired(reason))]:
                self._engine.fail([delivery], "expired", reason)
            case [(_, outcome), *_]:
                self._engine.suspect([delivery for delivery, _ in lost], outcome.reason)

    def _holds(self, delivery: Delivery) -> bool:
        """Whether it is still ours: neither settled nor taken back."""
        return delivery.holder is self and not delivery.settled

    def _held(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        return [delivery for delivery in deliveries if self._holds(delivery)]

    def _fail_held(self, deliveries: Sequence[Delivery], reason: str) -> None:
        if held := self._held(deliveries):
            self._engine.fail(held, "failed", reason)

    def _release(self, deliveries: Sequence[Delivery]) -> None:
        if held := self._held(deliveries):
            self._engine.release(held, reason="consumer out of reach", first=True)

    def _release_queue(self) -> None:
        queued, self._queue = list(self._queue), deque()
        self._release(queued)

    def _on_line_changed(self) -> None:
        """Hand over more or less from now on."""
        events = 0 if self._draining else self._line.room(self._full.events)
        self.window.limit = Limit(events=events, bytes=self._full.bytes)
        self._engine.changed()
        if events == 0:
            self._release_queue()

    def _named(self) -> dict[str, str]:
        """Who a line in the log is about."""
        return {"subscription": self._name, "consumer": self.consumer}
