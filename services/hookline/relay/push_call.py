"""One attempt: call the consumer, try again what is worth it at once, and say how it ended."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import grpc
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from hookline.relay.push_channel import NotConnected, PushChannel
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse

_LONGEST_REASON = 1000
"""Characters."""
_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_REFUSALS = {
    grpc.StatusCode.UNIMPLEMENTED: "it doesn't serve hookline.v1.ConsumerService; is the target right?",
    grpc.StatusCode.UNAUTHENTICATED: "it wants to know who calls; does push.tls name our certificate?",
    grpc.StatusCode.PERMISSION_DENIED: "it doesn't let this relay call; does it know our certificate?",
}
"""What is to be mended before any call can succeed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The consumer answered: the verdicts are its own."""

    response: DeliverResponse


@dataclass(frozen=True, slots=True)
class Untouched:
    """Nothing was handed over, or all was refused unseen."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke, or the consumer went: one of the deliveries may have been the cause."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """No answer came in time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The consumer is there and failed the call as a whole."""

    reason: str


CallOutcome = Answered | Untouched | Lost | Expired | Failed


@dataclass(frozen=True, slots=True)
class PushCall:
    """A request, and how to make it.

    Each try has `deadline`, and all tries with their waits have `within`: a call ends in time whatever happens, so
    nothing else has to watch it.
    """

    request: DeliverRequest
    deadline: timedelta
    within: timedelta
    tries: int

    async def run(self, channel: PushChannel) -> CallOutcome:
        """Make the attempt.

        A try that finds no connection ends it: what was handed over before stays handed over.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.within.total_seconds()
        handed_over: grpc.aio.AioRpcError | None = None
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_is_transient),
                wait=wait_random_exponential(multiplier=0.2, max=1.0),
                stop=stop_after_attempt(self.tries) | stop_before_delay(self.within),
                reraise=True,
            ):
                with attempt:
                    await channel.connected()
                    seconds = max(0.0, min(self.deadline.total_seconds(), until - loop.time()))
                    self.request.deadline.FromTimedelta(timedelta(seconds=seconds))
                    try:
                        return Answered(await channel.consumer.Deliver(self.request, timeout=seconds))
                    except grpc.aio.AioRpcError as error:
                        if error.code() in _REFUSALS:
                            why = _REFUSALS[error.code()]
                            raise NotConnected(f"the consumer answers {error.code().name}: {why}") from None
                        handed_over = error
                        raise
        except NotConnected as error:
            if handed_over is None:
                return Untouched(str(error))
        except grpc.aio.AioRpcError as error:
            handed_over = error
        assert handed_over is not None, "tenacity answers or raises"
        return _outcome(handed_over)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _TRANSIENT


def _outcome(error: grpc.aio.AioRpcError) -> CallOutcome:
    reason = f"{error.code().name}: {error.details() or ''}"[:_LONGEST_REASON]
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return Lost(reason)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Expired(reason)
        case _:
            return Failed(reason)
