"""The way to a relay: one stream at a time, opened again for as long as it takes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta

import grpc
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from hookline.client.channel import Channel
from hookline.client.credential import Credential
from hookline.client.errors import SubscriptionRefused
from hookline.client.leases import Leases
from hookline.client.settlement_queue import SettlementQueue
from hookline.client.stream import ConsumerStream
from hookline.client.tls import Tls
from hookline.v1 import delivery_pb2 as pb

_log = logging.getLogger("hookline.client")

_FATAL = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What doesn't get better by trying again."""
_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""Something is wrong with the relay or its database: it gets better once somebody mends it, which may take long."""
_PARTING = 1.0
"""Seconds that a relay has to end the stream after our side is closed."""
_SHORT_LIFE = 0.2
"""Seconds: a stream that breaks sooner is not opened again at once."""
_LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect."""
_OF_THE_GRACE = 0.9
"""The part of a draining relay's grace that is left to work in; the rest is for the last settlements' way."""


class Connection:
    """Brings leases in and settlements out.

    Args:
        target: The relay's address.
        security: Credentials of gRPC, or files, for TLS; None connects in the clear.
        start: The first request of every stream.
        settlements: What is to be sent.
        leases: Where deliveries go.
        credential: What to show to the relay.
    """

    def __init__(
        self,
        target: str,
        security: grpc.ChannelCredentials | Tls | None,
        start: pb.Start,
        settlements: SettlementQueue,
        leases: Leases,
        *,
        credential: Credential,
    ) -> None:
        self._target = target
        self._security = security
        self._credential = credential
        self._start = start
        self._settlements = settlements
        self._leases = leases
        self._channel: Channel | None = None
        self._task: asyncio.Task[None] | None = None
        self._opening: ConsumerStream | None = None
        """A stream whose `start` is on its way: the relay may have leased something to it already."""
        self._leaving: asyncio.Task[None] | None = None
        """Waits for the right moment to leave a relay that is about to stop."""
        self._stopped = False
        self._closing = False
        self.stream: ConsumerStream | None = None
        """The stream that is open; None between two."""

    def __repr__(self) -> str:
        return f"<Connection {self._target} {'open' if self.stream else 'waiting'}>"

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._task is not None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._task is not None and self._task.done()

    def open(self, on_end: Callable[[], None]) -> None:
        """Begin to connect; `on_end` is called when nothing will come any more."""
        self._channel = Channel(self._target, self._security)
        self._task = asyncio.create_task(self._run(self._channel))
        self._task.add_done_callback(lambda _: on_end())

    def stop(self) -> None:
        """Take nothing new, and give back what nobody has begun."""
        if self._stopped:
            return
        self._stopped = True
        self._start.window.CopyFrom(pb.Window())
        if self.stream is not None:
            self.stream.pause()
        self._leases.stop()

    async def confirmed(self, patience: float) -> None:
        """Wait until what was settled is confirmed, for so many seconds at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._settlements.emptied()

    async def close(self) -> None:
        """Part from the relay: what is still held is given back."""
        assert self._task is not None
        assert self._channel is not None
        self._closing = True
        self.stop()
        try:
            if (stream := self.stream or self._opening) is not None:
                # Half-closed, so that the relay knows that what is still held is given back and not suspect.
                stream.finish()
                await asyncio.wait({self._task}, timeout=_PARTING)
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._channel.close()

    async def ended(self) -> None:
        """Wait until nothing will come any more."""
        assert self._task is not None
        await asyncio.wait({self._task})

    def check(self) -> None:
        """Raise what ended the connection.

        Raises:
            SubscriptionRefused: The relay won't serve this subscription, now or later.
        """
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self, channel: Channel) -> None:
        """Connect, serve, and connect again, until closed or refused."""
        pause = 0.0
        try:
            while not self._closing:
                stream, started = await self._connect(channel)
                opened = asyncio.get_running_loop().time()
                fault = False
                try:
                    await self._serve(stream, started.ack_deadline.ToTimedelta())
                except (grpc.aio.AioRpcError, TimeoutError) as error:
                    if not self._is_worth_another_try(error):
                        raise _refusal(error) from None
                    if fault := isinstance(error, grpc.aio.AioRpcError) and error.code() in _FAULTS:
                        _log.warning(
                            "relay %s ended the stream (%s); trying again", self._target, _why(error)
                        )
                lived = asyncio.get_running_loop().time() - opened
                if fault and lived < _LONGEST_PAUSE:
                    # What we send again may be what it fails at.
                    pause = min(max(2 * pause, _SHORT_LIFE), _LONGEST_PAUSE)
                else:
                    pause = _SHORT_LIFE if fault or lived < _SHORT_LIFE else 0.0
                await asyncio.sleep(pause)
        finally:
            self._settlements.close("the consumer was closed, or refused, before the relay confirmed")

    async def _serve(self, stream: ConsumerStream, ack_deadline: timedelta) -> None:
        self.stream = stream
        if self._stopped:
            stream.pause()  # it was started before that was known
        self._leases.begin(ack_deadline)
        extending = asyncio.create_task(self._extend())
        try:
            await stream.serve()
        finally:
            extending.cancel()
            if self._leaving is not None:
                self._leaving.cancel()
            self.stream = None
            self._leases.end()
            self._settlements.send_again()

    async def _connect(self, channel: Channel) -> tuple[ConsumerStream, pb.Started]:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(self._is_worth_another_try),
                wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE),
                before_sleep=self._say_unreachable,
                reraise=True,
            ):
                with attempt:
                    stream = self._opening = ConsumerStream(
                        await channel.stub(),
                        self._credential,
                        self._settlements,
                        on_deliveries=self._leases.receive,
                        on_draining=self._on_draining,
                    )
                    try:
                        return stream, await stream.open(self._start)
                    finally:
                        self._opening = None
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from None
        raise AssertionError("tries for ever")

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAUTHENTICATED:
            # The token that was shown has been revoked, and there is another one by now.
            return self._credential.is_replaced()
        return _is_transient(error)

    def _say_unreachable(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _log.warning("relay %s can't be reached (%s); trying again", self._target, _why(error))

    async def _extend(self) -> None:
        while (interval := self._leases.extension_interval) > 0:
            await asyncio.sleep(interval)
            self._leases.extend()

    def _on_draining(self, grace: timedelta) -> None:
        """The relay is about to stop: leave it what nobody here has begun, and go when the rest is settled."""
        self._leases.drain()
        if self._leaving is None or self._leaving.done():
            self._leaving = asyncio.create_task(self._leave(grace))

    async def _leave(self, grace: timedelta) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OF_THE_GRACE * grace.total_seconds()):
                await self._leases.settled()
        if self.stream is not None:
            # What is still being worked on is given back rather than lost; its ack finds the next relay.
            self.stream.finish()


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() not in _FATAL
    return isinstance(error, TimeoutError)


def _why(error: BaseException | None) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return "no answer"


def _refusal(error: BaseException) -> SubscriptionRefused:
    if isinstance(error, grpc.aio.AioRpcError):
        return SubscriptionRefused(f"{error.code().name}: {error.details()}")
    return SubscriptionRefused(str(error))
