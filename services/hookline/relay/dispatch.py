"""One subscription: keep a little ahead of the consumers, hand out within their windows, see to what fails."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from hookline.core.subscription import Subscription
from hookline.model import LoggedEvent, Shard
from hookline.relay.arrivals import Arrivals
from hookline.relay.backlog import Backlog
from hookline.relay.delivery import Delivery
from hookline.relay.failures import Failures, attempt
from hookline.relay.find import Foreign, Gone, Undecided
from hookline.relay.forward import Forwarder
from hookline.relay.holder import Holder
from hookline.relay.inventory import Inventory
from hookline.relay.leases import Leases
from hookline.relay.metrics import DeliveryMetrics
from hookline.relay.observation import Observation
from hookline.relay.ownership import OwnedShard, Ownership
from hookline.relay.ready import ReadyQueue
from hookline.relay.received import ReceivedSettlements
from hookline.relay.settle import Changes, Settler
from hookline.relay.token import Token, TokenCodec
from hookline.store.session import Session
from hookline.store.settlements import AttemptOutcome, Written
from hookline.telemetry.failure import report

if TYPE_CHECKING:
    from hookline.v1 import delivery_pb2 as pb

_log = structlog.get_logger(__name__)

_READY_PATIENCE = 2.0
_AWAY = 30.0
"""Seconds without a consumer after which those of other relays come first; between two pulls is nobody."""
_LONGEST_FAREWELL = timedelta(seconds=30)
"""How long a shard that another relay is to have waits for what is out, however long the ack deadline is."""


class Dispatcher:
    """Everything that one relay knows and does about one subscription.

    Its loops share its state, all in one thread of control, so there are no locks: one reads, one keeps the leases,
    one commits, one looks for what wasn't settled in time. Handing out is a plain function, called whenever
    something changed.
    """

    def __init__(
        self,
        dsn: str,
        subscription: Subscription,
        *,
        owner: str,
        lease: timedelta,
        poll: timedelta,
        heartbeat: timedelta,
        observation: Observation,
        metrics: DeliveryMetrics,
        forwarder: Forwarder,
    ) -> None:
        self.subscription = subscription
        self.tokens = TokenCodec(subscription.name)
        self.observation = observation
        self.undecided_for = lease.total_seconds() + 1
        """Seconds after which a token that is still undecided names nothing that we will ever know."""
        self._forwarder = forwarder
        name = f"relay {subscription.name}"
        self._sessions = [Session(dsn, name=f"{name} {job}") for job in ("log", "leases", "settlements")]
        read, lease_session, settle = self._sessions
        self._ownership = Ownership(
            lease_session,
            subscription.name,
            owner=owner,
            lease=lease,
            on_acquired=self._on_acquired,
            on_lost=self._on_lost,
            on_leaving=self._on_leaving,
            losses=metrics.lease_losses,
        )
        self._settler = Settler(settle, self._ownership, self._on_committed)
        self._ready = ReadyQueue()
        self._inventory = Inventory(subscription, self._ready, self._settler)
        self._arrivals = Arrivals(
            read,
            subscription,
            ownership=self._ownership,
            inventory=self._inventory,
            ready=self._ready,
            settler=self._settler,
            poll=poll,
            filter_failures=metrics.filter_failures,
        )
        self._backlog = Backlog(lease_session, subscription.name, every=heartbeat)
        self.leases = Leases(self._inventory, self._ready, self._arrivals, observation)
        self.failures = Failures(self._inventory, self.leases, self._arrivals, self._settler, observation)
        self._arrivals.on_arrival = self.leases.hand_out
        self.failed = False
        """A loop ended that never should: this object serves nobody any more."""
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Dispatcher {self.subscription.name} holders={len(self.leases.holders)} {self._inventory!r}>"

    def start(self) -> None:
        """Begin to acquire shards and to read."""
        for job in (
            self._ownership.run(),
            self._settler.run(),
            self._arrivals.run(),
            self._backlog.run(),
            self._expire_loop(),
        ):
            self._spawn(job, forever=True)

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
        for delivery in self._inventory:
            self.observation.taken_back(delivery, "relay stopped")
        await self._ownership.release()
        for session in self._sessions:
            await session.close()

    def update(self, subscription: Subscription) -> None:
        """Go by a changed subscription from now on; what is out stays as it was handed out."""
        self.subscription = self._inventory.subscription = subscription
        self._arrivals.update(subscription)
        self.changed()

    def join(self, holder: Holder) -> None:
        """Let a consumer take part."""
        self.leases.join(holder)
        self._ownership.join()
        self.changed()

    def leave(self, holder: Holder) -> None:
        """Take back what a consumer holds, as if it had never been handed out. Leaving twice is leaving once."""
        if self.leases.part(holder):
            self.leases.release(self.leases.held_by(holder), reason="stream closed", first=True)
            self._parted()

    def lose(self, holder: Holder, reason: str) -> None:
        """A consumer is gone without a word: what it held may have killed it."""
        if self.leases.part(holder):
            self.failures.suspect(self.leases.held_by(holder), reason)
            self._parted()

    def _parted(self) -> None:
        if not self.leases.holders:
            self._ownership.leave_after(_AWAY)
        self.changed()

    @contextlib.contextmanager
    def reading_on(self) -> Iterator[None]:
        """Read without any consumer too, while settlements wait for what their tokens name."""
        self._arrivals.sought += 1
        self._arrivals.wake()
        try:
            yield
        finally:
            self._arrivals.sought -= 1

    def drain(self) -> None:
        """Hand out nothing more; settlements are still taken."""
        self.leases.drain()

    def changed(self) -> None:
        """Look again at what can be read and handed out: something was committed, settled, or asked for."""
        self.leases.hand_out()
        self._arrivals.wake()

    def wake(self) -> None:
        """Something may have been committed."""
        self._arrivals.wake()

    def members_changed(self) -> None:
        """Another relay came, left, or gave up shards."""
        self._ownership.nudge()

    def rows_changed(self) -> None:
        """An operator or a replay may have written rows."""
        self._arrivals.look_for_due()

    @property
    def backlog(self) -> int:
        """About how many events wait, as last counted."""
        return self._backlog.events

    @property
    def shards(self) -> list[Shard]:
        """Those that are ours."""
        return list(self._ownership.shards)

    def find(self, token: bytes) -> tuple[Token | None, "Delivery | Gone | Undecided | Foreign"]:
        """What a token says, and what it names; no token if it isn't one of this subscription's.

        Any hand-over of the event counts, by this relay or one before, not only the last.
        """
        named = self.tokens.decode(token)
        if named is None:
            return None, Foreign.STALE
        shard = self._ownership.shards.get(named.shard)
        if shard is None:
            return named, Undecided.SHARD_NOT_OURS
        if named.epoch > shard.epoch:
            return named, Foreign.STALE
        return named, self._find_in(shard, named)

    def _find_in(self, shard: OwnedShard, named: Token) -> "Delivery | Gone | Undecided | Foreign":
        delivery = self._inventory.get(shard, named.place)
        if delivery is not None:
            return delivery if named.names(delivery) else Foreign.STALE
        if named.replay or shard.progress.is_settled(named.seq):
            return Gone(shard, named.place, named.event)
        if named.epoch < shard.epoch or shard.progress.is_unsettled(named.seq):
            return Undecided.NOT_READ_YET
        return Foreign.STALE

    async def settle(
        self, settlements: "Sequence[pb.Settlement]", *, forwarding: bool = True
    ) -> "list[pb.SettlementFailure]":
        """Judge settlements and commit them; answers those that had no effect.

        With `forwarding`, those of shards that aren't ours are passed on to their owners; without, they are stale.
        """
        return await ReceivedSettlements(self, settlements, forwarding=forwarding).settle()

    async def forward(
        self, settlements: "Sequence[pb.Settlement]"
    ) -> "list[pb.SettlementFailureReason.ValueType | None]":
        """Have settlements judged by the relays that own their shards; answers why each had no effect, or None."""
        return await self._forwarder.forward(self.subscription.name, self.tokens, settlements)

    async def commit(self, changes: Changes) -> Written:
        """Commit changes with everything decided before."""
        for delivery in changes.acked:
            self._inventory.remove(delivery)
            if delivery.has_row:
                self._inventory.decided(delivery.place, changes)
                if delivery.first_at is not None or delivery.replay or delivery.has_own_trace:
                    # Only where there is a history, or somebody looks for one: most rows are of events that waited.
                    changes.attempts.append(attempt(delivery, "acked", ""))
        for gone in changes.late:
            self._inventory.decided(gone.place, changes)
        changes.committed = asyncio.get_running_loop().create_future()
        self._settler.add(changes)
        self.leases.hand_out()
        return await changes.committed

    def release(
        self, deliveries: Iterable[Delivery], *, reason: str = "released", first: bool = False
    ) -> None:
        """Take deliveries back as if they had never been handed out; they wait before all others, or after."""
        self.leases.release(deliveries, reason=reason, first=first)

    def suspect(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """One of these killed its consumer, perhaps: one alone failed; several are handed out in smaller portions."""
        self.failures.suspect(deliveries, reason)

    def fail(self, deliveries: Iterable[Delivery], outcome: AttemptOutcome, reason: str) -> None:
        """These attempts failed: the retry policy says what becomes of the deliveries."""
        self.failures.fail(deliveries, outcome, reason)

    def oldest_unsettled(self) -> LoggedEvent | None:
        """The event received longest ago of those that were read and aren't settled."""
        return min((d.event for d in self._inventory), key=lambda event: event.received_at, default=None)

    def _on_committed(self, taken: list[Changes], written: Written) -> None:
        for changes in taken:
            self._inventory.written(changes)
            for delivery in changes.acked:
                self.leases.give_back(delivery)
                self._inventory.done(delivery)
            for delivery in changes.dead:
                self._inventory.done(delivery)
        if written.turns or written.done:
            self._inventory.answered(self._ownership.shards, written)
            self._arrivals.look_for_due()
        self.leases.hand_out()

    def _on_acquired(self, shards: list[OwnedShard]) -> None:
        self._arrivals.prepare(shards)

    def _on_lost(self, shards: list[OwnedShard]) -> None:
        """Forget all about shards that another relay owns."""
        lost = set(shards)
        for delivery in [delivery for delivery in self._inventory if delivery.shard in lost]:
            self.observation.taken_back(delivery, "lease lost")
            self.leases.give_back(delivery)
            self._inventory.drop(delivery)
        self.changed()

    def _on_leaving(self, shards: list[OwnedShard]) -> None:
        leaving = set(shards)
        for delivery in [d for d in self._inventory if d.shard in leaving and d.holder is None]:
            self._inventory.drop(delivery)
        self._spawn(self._give_up(shards))

    async def _give_up(self, shards: list[OwnedShard]) -> None:
        """Leave shards to other relays as soon as nothing of them is out."""
        try:
            async with asyncio.timeout(
                min(self.subscription.ack_deadline, _LONGEST_FAREWELL).total_seconds()
            ):
                while any(shard.out for shard in shards):
                    self.leases.returned.clear()
                    await self.leases.returned.wait()
        except TimeoutError:
            pass  # they are handed out again by the next owner; acks of ours are forwarded to it
        await self.commit(Changes())
        await self._ownership.give_up(shards)

    async def _expire_loop(self) -> None:
        """See to what was not settled by its deadline."""
        while True:
            await asyncio.sleep(min(1.0, self.subscription.ack_deadline.total_seconds() / 4))
            now = asyncio.get_running_loop().time()
            late = [d for d in self._inventory if d.holder is not None and d.deadline <= now]
            if late:
                _log.warning(
                    "deliveries not settled in time", subscription=self.subscription.name, events=len(late)
                )
                self.failures.fail(late, "expired", "ack deadline passed")

    def _spawn(self, job: Coroutine[None, None, None], *, forever: bool = False) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._on_loop_end if forever else self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._on_loop_end(task)

    def _on_loop_end(self, task: asyncio.Task[None]) -> None:
        """A loop that ends by itself is a mistake of ours: say so, and let the consumers find another relay."""
        if task.cancelled():
            return
        self.failed = True
        error = task.exception() or RuntimeError("it returned")
        report(_log, "subscription stopped unexpectedly", error, subscription=self.subscription.name)
        for holder in self.leases.holders:
            holder.abort("internal error: this relay stopped serving the subscription")
