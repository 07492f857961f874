"""The subscriptions that this relay serves right now: one dispatcher for each that has a consumer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from hookline import config
from hookline.core.window import Limit
from hookline.model import SubscriptionName
from hookline.relay.dispatch import Dispatcher
from hookline.relay.status import not_found, unavailable
from hookline.relay.stream import Stream
from hookline.relay.trace import DeliveryTraces
from hookline.relay.wakeup import Wakeup
from hookline.store import subscriptions
from hookline.store.session import Session
from hookline.store.subscriptions import NAME
from hookline.telemetry.tracing import Tracing

_WITHIN = timedelta(seconds=5)
_LINGER = 2.0
"""Seconds that a subscription without consumers keeps its shards: one that reconnects finds its leases as they were, so
that the acks it still owes count."""


class Subscribers:
    """Opens streams into subscriptions; a subscription without a consumer costs nothing, and leaves its shards free."""

    def __init__(
        self, dsn: str, settings: config.Relay, tracing: Tracing, wakeup: Wakeup, *, owner: str
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._tracing = tracing
        self._wakeup = wakeup
        self._owner = owner
        self._session = Session(dsn, name="relay subscriptions")
        self._dispatchers: dict[SubscriptionName, Dispatcher] = {}
        self._streams: dict[Stream, Dispatcher] = {}
        self._all_closed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        """Held while a dispatcher is found, started or stopped: stopping takes a while."""
        self._draining = False

    def __repr__(self) -> str:
        return f"<Subscribers streams={len(self._streams)} {list(self._dispatchers.values())}>"

    @asynccontextmanager
    async def open(self, name: str, consumer: str, limit: Limit) -> AsyncIterator[tuple[Dispatcher, Stream]]:
        """A stream of a subscription, for as long as the block lasts.

        Raises:
            RpcError: The subscription doesn't exist, or the relay is about to stop.
            DatabaseUnavailable: It can't be known whether the subscription exists.
        """
        async with self._lock:
            if self._draining:
                raise unavailable("DRAINING", "this relay is about to stop; connect again")
            dispatcher = await self._dispatcher(SubscriptionName(name))
            stream = Stream(consumer, limit, dispatcher.tokens)
            self._streams[stream] = dispatcher
            self._all_closed.clear()
        try:
            yield dispatcher, stream
        finally:
            del self._streams[stream]
            self._close_later(dispatcher)
            if not self._streams:
                self._all_closed.set()

    async def drain(self, grace: timedelta) -> None:
        """Hand out nothing more, tell every consumer, and wait until they are gone or the time is up."""
        self._draining = True
        if not self._streams:
            return
        for dispatcher in self._dispatchers.values():
            dispatcher.drain()
        for stream in self._streams:
            stream.drain(grace)
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._all_closed.wait()
        except TimeoutError:
            for stream in self._streams:
                stream.abort("this relay is about to stop")

    async def close(self) -> None:
        """Stop what is left."""
        async with self._lock:
            # Under the lock, so that only those are cancelled that still wait.
            for task in self._closing:
                task.cancel()
            for dispatcher in list(self._dispatchers.values()):
                await self._stop(dispatcher)
            await self._session.close()

    async def _dispatcher(self, name: SubscriptionName) -> Dispatcher:
        known = self._dispatchers.get(name)
        if known is not None and not known.failed:
            return known
        if known is not None:
            await self._stop(known)
        # A name that none can have is not looked for: Postgres refuses some texts.
        subscription = (
            await subscriptions.find(self._session, name, within=_WITHIN) if NAME.fullmatch(name) else None
        )
        if subscription is None:
            raise not_found(
                "UNKNOWN_SUBSCRIPTION",
                f"no subscription {name[:64]!r}; add it to hookline.toml and restart the relay",
            )
        dispatcher = Dispatcher(
            self._dsn,
            subscription,
            owner=self._owner,
            lease=self._settings.lease,
            poll=self._settings.poll,
            traces=DeliveryTraces(self._tracing, name),
        )
        self._dispatchers[name] = dispatcher
        self._wakeup.subscribe(dispatcher.wake)
        dispatcher.start()
        try:
            # A consumer that reconnects sends its unanswered settlements first: we must know what they speak of.
            await dispatcher.ready()
        except BaseException:
            self._close_later(dispatcher)
            raise
        return dispatcher

    def _close_later(self, dispatcher: Dispatcher) -> None:
        """Give up a subscription without consumers, in a task of its own: the call that ends here may be cancelled."""
        closing = asyncio.create_task(self._close_unused(dispatcher))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_unused(self, dispatcher: Dispatcher) -> None:
        await asyncio.sleep(_LINGER)
        async with self._lock:
            if dispatcher in self._streams.values():
                return
            if self._dispatchers.get(dispatcher.subscription.name) is dispatcher:
                await self._stop(dispatcher)

    async def _stop(self, dispatcher: Dispatcher) -> None:
        self._wakeup.unsubscribe(dispatcher.wake)
        await dispatcher.stop()
        self._dispatchers.pop(dispatcher.subscription.name, None)
