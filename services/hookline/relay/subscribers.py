"""The subscriptions that this relay serves right now: one dispatcher for each that has a consumer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hookline import config
from hookline.core.subscription import Subscription
from hookline.core.window import Limit
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import SubscriptionName
from hookline.relay.access.caller import Caller
from hookline.relay.dispatch import Dispatcher
from hookline.relay.forward import Forwarder
from hookline.relay.gauges import Service
from hookline.relay.holder import Holder
from hookline.relay.lines import AttemptLines
from hookline.relay.metrics import RelayMetrics
from hookline.relay.observation import Observation
from hookline.relay.pull import PulledLease
from hookline.relay.push import PushConsumer
from hookline.relay.stream import Stream
from hookline.relay.trace import DeliveryTraces
from hookline.relay.wakeup import FORWARDED, MEMBERS, Wakeup
from hookline.rpc import RpcError, failed_precondition, not_found, unavailable
from hookline.store import subscriptions
from hookline.store.session import Session
from hookline.store.subscriptions import NAME
from hookline.telemetry.tracing import Tracing
from hookline.telemetry.wide_line import Choice

_log = structlog.get_logger(__name__)

_WITHIN = timedelta(seconds=5)
_LINGER = 2.0
"""Seconds that a subscription without consumers keeps its shards: one that reconnects finds its leases as they were, so
that the acks it still owes count."""
_LINGER_BETWEEN_CALLS = 30.0
"""The same for consumers that pull: they are away most of the time."""
_LOOK = 1.0
"""Seconds between looks at what operators changed, without a hint."""


@dataclass(slots=True, eq=False)
class _Served:
    """A subscription that is served here."""

    dispatcher: Dispatcher
    users: int = 0
    """Streams and calls that need it."""
    linger: float = _LINGER
    holders: set[Holder] = field(default_factory=set)
    push: PushConsumer | None = None


class Subscribers:
    """Serves consumers; a subscription without a consumer costs nothing, and leaves its shards to others."""

    def __init__(
        self,
        dsn: str,
        settings: config.Relay,
        tracing: Tracing,
        metrics: RelayMetrics,
        wakeup: Wakeup,
        *,
        owner: str,
        log_attempts: Choice = "all",
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._tracing = tracing
        self._metrics = metrics
        self._wakeup = wakeup
        self._owner = owner
        self._log_attempts = log_attempts
        self._session = Session(dsn, name="relay subscriptions")
        self._served: dict[SubscriptionName, _Served] = {}
        self._locks: dict[SubscriptionName, asyncio.Lock] = {}
        """Held while a subscription is started or stopped, which takes a while; never two for one subscription."""
        self._background: set[asyncio.Task[None]] = set()
        self._hints = asyncio.Event()
        self._draining = False
        self.forwarder = Forwarder(
            Session(dsn, name="relay forwarded"),
            Session(dsn, name="relay forwarding"),
            patience=settings.lease + timedelta(seconds=5),
            dispatchers=lambda: [served.dispatcher for served in self._served.values()],
        )

    def __repr__(self) -> str:
        return f"<Subscribers {[served.dispatcher for served in self._served.values()]}>"

    def services(self) -> list[Service]:
        """What is done for each subscription that is served right now; may be asked by any thread."""
        found = []
        for name, served in self._served.copy().items():
            holders = served.dispatcher.leases.holders.copy()
            in_flight = sum(holder.window.events for holder in holders)
            found.append(Service(name, in_flight, len(holders), len(served.dispatcher.shards)))
        return found

    @asynccontextmanager
    async def open(self, name: str, consumer: str, limit: Limit) -> AsyncIterator[tuple[Dispatcher, Stream]]:
        """A stream of a subscription, for as long as the block lasts.

        Raises:
            RpcError: The subscription doesn't exist, or the relay is about to stop.
            DatabaseUnavailable: It can't be known whether the subscription exists.
        """
        async with self._use(name, linger=_LINGER) as served:
            _refuse_if_pushed(served.dispatcher.subscription)
            stream = Stream(consumer, limit, served.dispatcher.tokens)
            with self._held(served, stream):
                try:
                    yield served.dispatcher, stream
                finally:
                    stream.closed.set()

    @asynccontextmanager
    async def dispatcher(self, name: str) -> AsyncIterator[Dispatcher]:
        """What serves a subscription, for a single call. Errors as of `open`."""
        async with self._use(name, linger=_LINGER_BETWEEN_CALLS) as served:
            yield served.dispatcher

    async def pull(
        self, name: str, consumer: str, limit: Limit, *, wait: timedelta, caller: Caller
    ) -> PulledLease:
        """Lease what is ready. Errors as of `open`; if the caller is cancelled, nothing stays leased.

        What is leased stays so as long as the caller may consume.
        """
        async with self._use(name, linger=_LINGER_BETWEEN_CALLS) as served:
            _refuse_if_pushed(served.dispatcher.subscription)
            pulled = PulledLease(consumer, limit, served.dispatcher)
            with self._held(served, pulled):
                served.dispatcher.join(pulled)
                try:
                    await pulled.filled(wait)
                except asyncio.CancelledError:
                    served.dispatcher.leave(pulled)
                    raise
        self._spawn(self._keep(served, pulled, caller))
        return pulled

    async def run(self) -> None:
        """Follow what operators change, and call consumers that want to be called, until cancelled."""
        while True:
            hints = self._hints
            try:
                await self._look()
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("subscriptions not read", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await hints.wait()

    def hear(self, kind: str) -> None:
        """An operator or another relay changed something."""
        if kind == FORWARDED:
            self.forwarder.hear()
        elif kind == MEMBERS:
            for served in self._served.values():
                served.dispatcher.members_changed()
        else:
            hints, self._hints = self._hints, asyncio.Event()
            hints.set()
            for served in self._served.values():
                served.dispatcher.rows_changed()

    async def drain(self, grace: timedelta) -> None:
        """Hand out nothing more, tell every consumer, and wait until they are gone or the time is up."""
        self._draining = True
        for served in self._served.values():
            served.dispatcher.drain()
            for holder in served.holders:
                holder.drain(grace)
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await asyncio.gather(*(holder.gone() for s in self._served.values() for holder in s.holders))
        except TimeoutError:
            for served in self._served.values():
                for holder in served.holders:
                    holder.abort("this relay is about to stop")

    async def close(self) -> None:
        """Stop what is left."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(*(self._stop(name) for name in list(self._served)))
        await self.forwarder.close()
        await self._session.close()

    @asynccontextmanager
    async def _use(self, name: str, *, linger: float) -> AsyncIterator[_Served]:
        if self._draining:
            raise unavailable("DRAINING", "this relay is about to stop; connect again")
        # A name that none can have is not looked for: Postgres refuses some texts.
        known = SubscriptionName(name) if NAME.fullmatch(name) else None
        async with self._locks.setdefault(known or SubscriptionName(""), asyncio.Lock()):
            served = await self._start(known) if known is not None else None
            if served is None:
                raise not_found(
                    "UNKNOWN_SUBSCRIPTION",
                    f"no subscription {name[:64]!r}; add it to hookline.toml and restart the relay, or create it",
                )
            served.users += 1
            served.linger = max(served.linger, linger)
        try:
            yield served
        finally:
            served.users -= 1
            if not served.users:
                self._spawn(self._stop_if_unused(served))

    @contextlib.contextmanager
    def _held(self, served: _Served, holder: Holder) -> Iterator[None]:
        served.holders.add(holder)
        try:
            yield
        finally:
            served.holders.discard(holder)

    async def _keep(self, served: _Served, pulled: PulledLease, caller: Caller) -> None:
        """What was pulled stays leased until it is settled, or its deadline passes."""
        served.users += 1
        try:
            with contextlib.suppress(RpcError):
                await caller.while_allowed(served.dispatcher.subscription.name, pulled.emptied())
        finally:
            served.dispatcher.leave(pulled)
            served.users -= 1
            if not served.users:
                self._spawn(self._stop_if_unused(served))

    async def _start(self, name: SubscriptionName) -> _Served | None:
        """The subscription, served; None if there is none. Under its lock."""
        served = self._served.get(name)
        if served is not None and not served.dispatcher.failed:
            return served
        if served is not None:
            await self._stop(name)
        subscription = await subscriptions.find(self._session, name, within=_WITHIN)
        if subscription is None:
            return None
        metrics = self._metrics.of(name)
        dispatcher = Dispatcher(
            self._dsn,
            subscription,
            owner=self._owner,
            lease=self._settings.lease,
            poll=self._settings.poll,
            heartbeat=self._settings.heartbeat,
            observation=Observation(
                DeliveryTraces(self._tracing, name), metrics, AttemptLines(name, self._log_attempts)
            ),
            metrics=metrics,
            forwarder=self.forwarder,
        )
        served = self._served[name] = _Served(dispatcher)
        self._wakeup.subscribe(dispatcher.wake)
        dispatcher.start()
        try:
            # A consumer that reconnects sends its unanswered settlements first: we must know what they speak of.
            await dispatcher.ready()
        except BaseException:
            self._spawn(self._stop_if_unused(served))
            raise
        return served

    async def _look(self) -> None:
        """Follow what changed."""
        asked = list(self._served.items())
        found = {
            subscription.name: subscription
            for subscription in await subscriptions.served(
                self._session, [name for name, _ in asked], within=_WITHIN
            )
        }
        for name, served in asked:
            now, before = found.get(name), served.dispatcher.subscription
            if now is None:
                await self._end(name, "the subscription was deleted")
            elif (now.ordering, now.push) != (before.ordering, before.push):
                await self._end(name, "the subscription was changed")
            elif now.version != before.version or now.paused != before.paused:
                served.dispatcher.update(now)
        for name, subscription in found.items():
            if subscription.push is not None and not self._draining:
                await self._call(name)

    async def _call(self, name: SubscriptionName) -> None:
        """See that the consumer of a subscription is called."""
        known = self._served.get(name)
        if known is not None and known.push is not None and not known.dispatcher.failed:
            return
        async with self._locks.setdefault(name, asyncio.Lock()):
            served = await self._start(name)
            if served is None or served.push is not None or served.dispatcher.subscription.push is None:
                return
            subscription = served.dispatcher.subscription
            served.users += 1
            served.push = PushConsumer(subscription, served.dispatcher.subscription.push, served.dispatcher)
            served.holders.add(served.push)
            served.push.start()

    async def _end(self, name: SubscriptionName, reason: str) -> None:
        async with self._locks.setdefault(name, asyncio.Lock()):
            served = self._served.get(name)
            if served is None:
                return
            for holder in list(served.holders):
                holder.abort(reason)
            await self._stop(name)

    async def _stop_if_unused(self, served: _Served) -> None:
        """Give up a subscription without consumers: in a task of its own, as the call that ends may be cancelled."""
        await asyncio.sleep(served.linger)
        name = served.dispatcher.subscription.name
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not served.users and self._served.get(name) is served:
                await self._stop(name)

    async def _stop(self, name: SubscriptionName) -> None:
        served = self._served.pop(name, None)
        if served is None:
            return
        self._wakeup.unsubscribe(served.dispatcher.wake)
        if served.push is not None:
            await served.push.stop()
        await served.dispatcher.stop()

    def _spawn(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(job)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _refuse_if_pushed(subscription: Subscription) -> None:
    if subscription.push is not None:
        raise failed_precondition(
            "PUSH_SUBSCRIPTION",
            f"subscription {subscription.name!r} is pushed to its consumer; nobody else can have its events",
        )
