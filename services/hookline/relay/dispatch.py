"""One subscription: read the log, keep a little ahead, hand out within the consumers' windows."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from enum import Enum, auto

import structlog

from hookline.core.filter import Filter
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import LoggedEvent, Seq
from hookline.relay.delivery import Delivery
from hookline.relay.ownership import OwnedShard, Ownership
from hookline.relay.reader import LogReader
from hookline.relay.settle import Confirm, Settler
from hookline.relay.stream import Stream
from hookline.relay.token import Token, TokenCodec
from hookline.relay.trace import DeliveryTraces
from hookline.store.session import Session
from hookline.store.subscriptions import Subscription
from hookline.v1 import delivery_pb2 as pb

_log = structlog.get_logger(__name__)

READ_AHEAD_EVENTS = 2_000
READ_AHEAD_BYTES = 16 * 1024 * 1024
"""What may wait in memory for a free window, so that consumers need not wait for the database."""
_QUIET_SPACING = 0.002
_BUSY_SPACING = 0.010
_BUSY_EVENTS = 10
"""Seconds between two looks at the log near its head: events of that time share one. A look costs the same whether it
finds one event or a hundred, so where it finds many the next may wait for more."""
_AFTER_ERROR = 0.2
"""Seconds until the log is looked at again after an error."""
_READY_PATIENCE = 2.0
_PORTION = 100
"""Events given to one stream before the next has its turn."""


class Undecided(Enum):
    """Why it can't be said yet what a token names."""

    SHARD_NOT_OURS = auto()
    """Another relay's lease, perhaps a dead one's, has not ended."""
    NOT_READ_YET = auto()
    """The event was handed out by a relay before us, and we have not come to it."""


class Dispatcher:
    """Everything that one relay knows and does about one subscription.

    Three loops share its state, all in one thread of control, so there are no locks: one reads, one keeps the
    leases, one commits settlements. Handing out is a plain function, called whenever something changed.
    """

    def __init__(
        self,
        dsn: str,
        subscription: Subscription,
        *,
        owner: str,
        lease: timedelta,
        poll: timedelta,
        traces: DeliveryTraces,
    ) -> None:
        self.subscription = subscription
        self.tokens = TokenCodec(subscription.name)
        self._filter = Filter(sources=subscription.sources, types=subscription.types)
        self.undecided_for = lease.total_seconds() + 1
        """Seconds after which a token that is still undecided names nothing that we will ever know."""
        self._ack_deadline = subscription.ack_deadline.total_seconds()
        self._poll = poll.total_seconds()
        self.traces = traces
        name = f"relay {subscription.name}"
        self._sessions = [Session(dsn, name=f"{name} {job}") for job in ("log", "leases", "settlements")]
        read, lease_session, settle = self._sessions
        self._reader = LogReader(read)
        self._ownership = Ownership(
            lease_session,
            subscription.name,
            owner=owner,
            lease=lease,
            on_acquired=self._on_acquired,
            on_lost=self._on_lost,
        )
        self._settler = Settler(settle, self._ownership)
        self._deliveries: dict[Seq, Delivery] = {}
        """All that were read and aren't settled."""
        self._ready: deque[Delivery] = deque()
        """Those that wait for a window, in the order in which they are handed out."""
        self._ready_bytes = 0
        self._streams: list[Stream] = []
        self._work = asyncio.Event()
        self._draining = False
        self.failed = False
        """A loop ended that never should: this object serves nobody any more."""
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return (
            f"<Dispatcher {self.subscription.name} streams={len(self._streams)} "
            f"unsettled={len(self._deliveries)} ready={len(self._ready)}>"
        )

    def start(self) -> None:
        """Begin to acquire shards and to read."""
        jobs = (self._ownership.run(), self._settler.run(), self._read_loop(), self._expire_loop())
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(self._on_done)

    async def ready(self) -> None:
        """Wait until every shard that was free at the start is ours, for a few seconds at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY_PATIENCE):
                await self._ownership.attempted()

    async def stop(self) -> None:
        """Commit what was settled, give up the leases, and close the connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._settler.drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for delivery in self._deliveries.values():
            self.traces.released(delivery, "relay stopped")
        await self._ownership.release()
        for session in self._sessions:
            await session.close()

    def join(self, stream: Stream) -> None:
        """Let a consumer take part."""
        self._streams.append(stream)
        self.changed()

    def leave(self, stream: Stream) -> None:
        """Take back what a consumer holds; it is handed out again, oldest first. Leaving twice is leaving once."""
        if stream not in self._streams:
            return
        self._streams.remove(stream)
        self._take_back(
            [delivery for delivery in self._deliveries.values() if delivery.stream is stream], "stream closed"
        )
        self.changed()

    def drain(self) -> None:
        """Hand out nothing more; settlements are still taken."""
        self._draining = True

    def changed(self) -> None:
        """Look again at what can be read and handed out: something was committed, settled, or asked for."""
        self._hand_out()
        self._work.set()

    def wake(self) -> None:
        """Something may have been committed."""
        self._work.set()

    def find(
        self, token: bytes
    ) -> "Delivery | OwnedShard | Undecided | pb.SettlementFailureReason.ValueType":
        """The unsettled delivery that a token names; its shard if it is settled already; or why there is neither.

        After a take-over it can be too early to say: `Undecided` may have another answer a moment later.

        Any hand-over of the event counts, by this relay or one before, not only the last: that it was processed
        doesn't become untrue because its lease ended first.
        """
        named = self.tokens.decode(token)
        if named is None:
            return pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_INVALID_TOKEN
        shard = self._ownership.shards.get(named.shard)
        if shard is None:
            return Undecided.SHARD_NOT_OURS
        if named.epoch > shard.epoch:
            return pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN
        return self._find_in(shard, named)

    def _find_in(
        self, shard: OwnedShard, named: Token
    ) -> "Delivery | OwnedShard | Undecided | pb.SettlementFailureReason.ValueType":
        delivery = self._deliveries.get(named.seq)
        if delivery is not None and delivery.shard is shard:
            return delivery
        if shard.progress.is_settled(named.seq):
            return shard
        if named.epoch < shard.epoch or shard.progress.is_unsettled(named.seq):
            return Undecided.NOT_READ_YET
        return pb.SettlementFailureReason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN

    def ack(self, deliveries: list[Delivery], confirm: Confirm) -> None:
        """Settle deliveries for good; `confirm` is called after the commit."""
        for delivery in deliveries:
            delivery.settled = True
            self._deliveries.pop(delivery.event.seq, None)  # gone already if its shard was lost

        def committed_and_lost(committed: list[Delivery], lost: list[Delivery]) -> None:
            for delivery in deliveries:
                self._give_back(delivery)
            confirm(committed, lost)
            self._hand_out()
            if len(self._ready) < READ_AHEAD_EVENTS // 2:
                self._work.set()

        self._settler.ack(deliveries, committed_and_lost)

    def oldest_unsettled(self) -> LoggedEvent | None:
        """The event received longest ago of those that were read and aren't settled."""
        return min(
            (d.event for d in self._deliveries.values()), key=lambda event: event.received_at, default=None
        )

    def _hand_out(self) -> None:
        """Lease what waits to the streams with the most room, in small portions."""
        if self._draining:
            return
        now = asyncio.get_running_loop().time()
        held_back: list[Delivery] = []
        while self._ready:
            size = self._ready[0].size
            fitting = [stream for stream in self._streams if stream.window.fits(size)]
            if not fitting:
                break
            stream = max(fitting, key=lambda candidate: candidate.window.free_events)
            if portion := self._take_portion(stream, now, held_back):
                stream.send(portion)
        self._ready.extendleft(reversed(held_back))

    def _take_portion(self, stream: Stream, now: float, held_back: list[Delivery]) -> list[Delivery]:
        portion: list[Delivery] = []
        while self._ready and len(portion) < _PORTION:
            delivery = self._ready[0]
            if delivery.settled or delivery.shard.lost:
                self._drop_first_ready()
                continue
            if delivery.shard.valid_until <= now:
                # The lease could not be renewed in time: another relay may own the shard.
                held_back.append(self._ready.popleft())
                continue
            if not stream.window.fits(delivery.size):
                break
            self._drop_first_ready()
            stream.window.take(delivery.size)
            delivery.stream = stream
            delivery.attempt += 1
            delivery.deadline = now + self._ack_deadline
            if self.traces.is_recording:
                self.traces.handed_out(delivery, stream.consumer)
            portion.append(delivery)
        return portion

    def _drop_first_ready(self) -> None:
        self._ready_bytes -= self._ready.popleft().size

    def _take_back(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """Let deliveries wait again, before all younger ones."""
        back = [delivery for delivery in deliveries if not delivery.shard.lost]
        for delivery in back:
            self.traces.released(delivery, reason)
            self._give_back(delivery)
            self._ready_bytes += delivery.size
        self._ready.extendleft(sorted(back, key=lambda delivery: delivery.event.seq, reverse=True))

    def _give_back(self, delivery: Delivery) -> None:
        """End what a delivery takes of a window."""
        if delivery.stream is not None:
            delivery.stream.window.give_back(delivery.size)
            delivery.stream = None

    def _on_acquired(self, shards: list[OwnedShard]) -> None:
        self._reader.add(shards)
        self._work.set()

    def _on_lost(self, shards: list[OwnedShard]) -> None:
        """Forget all about shards that another relay owns."""
        lost = set(shards)
        for delivery in [d for d in self._deliveries.values() if d.shard in lost]:
            self.traces.released(delivery, "lease lost")
            self._give_back(delivery)
            del self._deliveries[delivery.event.seq]
        self.changed()

    async def _read_loop(self) -> None:
        """Keep a little ahead of the windows."""
        while True:
            self._work.clear()
            found, more = 0, False
            if self._has_room():
                try:
                    found, more = await self._read()
                except (DatabaseUnavailable, StatementRefused) as error:
                    _log.warning("log not read", subscription=self.subscription.name, reason=str(error))
                    await asyncio.sleep(_AFTER_ERROR)
                    continue
            # Also when nothing was read: a lease that had to be renewed first may be valid again.
            self._hand_out()
            if more and self._has_room():
                continue
            await asyncio.sleep(_BUSY_SPACING if found >= _BUSY_EVENTS else _QUIET_SPACING)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._work.wait()

    def _has_room(self) -> bool:
        return (
            bool(self._streams)
            and not self._draining
            and len(self._ready) < READ_AHEAD_EVENTS // 2
            and self._ready_bytes < READ_AHEAD_BYTES
        )

    async def _read(self) -> tuple[int, bool]:
        """Read once; answers how many events were found, and whether more are known to wait."""
        found, more = await self._reader.read(
            self._ownership.shards,
            events=READ_AHEAD_EVENTS - len(self._ready),
            body_bytes=READ_AHEAD_BYTES - self._ready_bytes,
        )
        for shard, event in found:
            if self._filter.matches(event.source, event.type):
                delivery = Delivery(event, shard)
                self._deliveries[event.seq] = delivery
                self._ready.append(delivery)
                self._ready_bytes += delivery.size
            else:
                shard.progress.settle(event.seq)
                self._settler.skip(shard)
        return len(found), more

    async def _expire_loop(self) -> None:
        """Hand out again what was not settled by its deadline."""
        interval = min(1.0, self._ack_deadline / 4)
        while True:
            await asyncio.sleep(interval)
            now = asyncio.get_running_loop().time()
            late = [d for d in self._deliveries.values() if d.stream is not None and d.deadline <= now]
            if late:
                _log.warning(
                    "deliveries not settled in time", subscription=self.subscription.name, events=len(late)
                )
                self._take_back(late, "ack deadline passed")
                self._hand_out()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A loop that ends by itself is a mistake of ours: say so, and let the consumers find another relay."""
        if task.cancelled():
            return
        self.failed = True
        _log.critical(
            "subscription stopped unexpectedly",
            subscription=self.subscription.name,
            exc_info=task.exception(),
        )
        for stream in self._streams:
            stream.abort("internal error: this relay stopped serving the subscription")
