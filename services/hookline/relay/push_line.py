"""The line to a consumer that is called: its channel, and the circuit that says whether to use it."""

import asyncio
import random
from collections.abc import Callable

import structlog

from hookline.core.circuit import Circuit, CircuitState
from hookline.core.subscription import Push
from hookline.model import SubscriptionName
from hookline.relay.push_call import Answered, CallOutcome, Failed, Lost, PushCall, Untouched
from hookline.relay.push_channel import NotConnected, NotServing, PushChannel
from hookline.v1.consumer_pb2 import DeliverResponse

_FAILURES = 3
"""Failed calls in a row that open the circuit."""
_COOL_DOWN = 1.0
_LONGEST_COOL_DOWN = 30.0
"""Seconds. A consumer that was down for hours is called again this long after it is back, at the latest."""


class PushLine:
    """Carries calls, and knows what the consumer can be trusted with.

    The circuit opens after a few calls in a row that found no connection, lost it, were not answered in time, or
    were refused unseen or given back. After a while the consumer is asked for its health, and if that is fine it
    gets one delivery, whose answer closes the circuit. A failed call's does too: what the consumer thinks of its
    deliveries is not the line's business.

    Args:
        push: Whom to call.
        subscription: For the log.
        on_changed: Called when `room` has another answer.
    """

    def __init__(self, push: Push, *, subscription: SubscriptionName, on_changed: Callable[[], None]) -> None:
        self._push = push
        self._log = structlog.get_logger(__name__).bind(subscription=subscription, consumer=push.target)
        self._on_changed = on_changed
        self._circuit = Circuit(
            failures=_FAILURES, cool_down=_COOL_DOWN, longest=_LONGEST_COOL_DOWN, jitter=random.random
        )
        self._is_healthy = False
        """It says so; one delivery shall show it."""
        self._opened = asyncio.Event()
        self._channel: PushChannel | None = None
        self._is_doubtful = False
        """The connection broke a moment ago. The channel may not know it yet, and one more call over it would look as
        if it had killed the consumer too."""
        self._calls = 0
        """Under way."""

    def __repr__(self) -> str:
        return f"<PushLine {self._channel!r} {self._circuit!r}>"

    def room(self, full: int) -> int:
        """How many deliveries the consumer may have in its hands now, if it were to have `full` when it is well."""
        match self._circuit.state:
            case CircuitState.CLOSED:
                return full
            case CircuitState.HALF_OPEN if self._is_healthy:
                return 1
            case _:
                return 0

    async def carry(self, call: PushCall) -> CallOutcome:
        """Make a call, and learn from it."""
        self._calls += 1
        try:
            channel = self._open_channel()
            if self._is_doubtful:
                await channel.healthy()
                self._is_doubtful = False
            outcome = await call.run(channel)
        except (NotConnected, NotServing) as error:
            outcome = Untouched(str(error))
        finally:
            self._calls -= 1
        match outcome:
            case Answered(response) if _gives_all_back(response):
                self._fail("it gave back all that it was sent")
            case Answered() | Failed():
                self._succeed()
            case Untouched(reason):
                self._fail(reason)
            case Lost():
                self._is_doubtful = True
                self._fail("the connection broke during a call, or the consumer is unavailable")
            case _:
                self._fail("a call was not answered in time")
        return outcome

    async def run(self) -> None:
        """Whenever the circuit has been open for long enough, see whether the consumer is well again."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            while self._circuit.state is CircuitState.OPEN:
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, self._circuit.open_until - now))
                if self._circuit.half_open(asyncio.get_running_loop().time()):
                    await self._probe()

    async def close(self) -> None:
        """Disconnect. No call may be under way."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _probe(self) -> None:
        try:
            if not self._calls:
                await self.close()  # a new one reads the files anew: what was wrong may be mended there
            await self._open_channel().healthy()
        except (NotConnected, NotServing) as error:
            if (
                self._circuit.state is CircuitState.HALF_OPEN
            ):  # a call from before may have been answered meanwhile
                self._fail(str(error))
            return
        self._is_healthy = True
        self._on_changed()

    def _open_channel(self) -> PushChannel:
        if self._channel is None:
            self._channel = PushChannel(self._push)
        return self._channel

    def _succeed(self) -> None:
        if self._circuit.succeed():
            self._log.info("push consumer answers again")
            self._on_changed()

    def _fail(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._circuit.fail(now):
            seconds = round(self._circuit.open_until - now, 1)
            self._log.warning("push consumer is sent nothing for a while", reason=reason, seconds=seconds)
            self._is_healthy = False
            self._opened.set()
            self._on_changed()
        elif self._circuit.state is CircuitState.CLOSED:
            self._log.warning("push call failed", reason=reason)


def _gives_all_back(response: DeliverResponse) -> bool:
    """Whether the consumer wants none of it now; without a pause it would be sent the same at once."""
    verdicts = [settlement.WhichOneof("verdict") for settlement in response.settlements]
    return bool(verdicts) and all(verdict == "release" for verdict in verdicts)
