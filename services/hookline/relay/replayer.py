"""Carry out replays: look at the log, and make deliveries of what is wanted, as fast as they are settled."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from hookline.core.subscription import Subscription
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import Seq
from hookline.store import replays, subscriptions
from hookline.store.replayed_events import Choice, look
from hookline.store.replays import Advanced, Replay
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

MOST_OUTSTANDING = 5_000
"""Deliveries of one replay that aren't settled: it goes on when consumers do."""
_STEP = 500
"""Deliveries made in one transaction, which holds the cursors' locks."""
_STEP_WITH_BODIES = 100
"""The same where each event's body is judged."""
_SHORTEST_SPAN, _LONGEST_SPAN = 256, 4_096
"""Seqs that are looked at in one step: many where few are wanted."""
_TURN = 1.0
"""Seconds after which another replay has its turn."""
_PORTIONS = 4
"""Into how many portions a limited rate divides a second, at most."""
_FULL = timedelta(milliseconds=100)
"""Until it is looked again whether consumers have settled."""
_HELD = timedelta(milliseconds=500)
"""Until it is looked again whether an earlier event of the key is settled."""
_TROUBLE = timedelta(seconds=2)
"""Until a replay that met an error is tried again."""
_REMEMBERED = 64


class Replayer:
    """Works on one replay at a time, in every relay. Several replays, and several relays, take turns.

    Each step is one transaction that names the epoch of the lease, so a crash neither skips nor doubles anything,
    and a relay that was paused past its lease changes nothing.

    Args:
        dsn: The database.
        owner: Names this relay process, uniquely.
        lease: How long a replay stays with a relay that shows no life.
        poll: How often it is looked for replays when no hint arrives.
    """

    def __init__(
        self,
        dsn: str,
        owner: str,
        *,
        lease: timedelta = timedelta(seconds=10),
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        self._session = Session(dsn, name="relay replays")
        self._owner = owner
        self._lease = lease
        self._within = lease / 2
        self._poll = poll
        self._woken = asyncio.Event()
        self._choices: dict[tuple[int, int], Choice] = {}
        """By replay and version of its subscription."""
        self._at_work: Replay | None = None

    def __repr__(self) -> str:
        return f"<Replayer {self._owner} at_work={self._at_work.id if self._at_work else None}>"

    def wake(self) -> None:
        """Look for replays now."""
        self._woken.set()

    async def run(self) -> None:
        """Carry out replays until cancelled."""
        try:
            while True:
                pause = await self._turn()
                if pause > timedelta(0):
                    # Not wait_for, which can lose a cancellation in Python 3.11 (python/cpython#86296).
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause.total_seconds()):
                            await self._woken.wait()
                self._woken.clear()
        finally:
            # Others needn't wait until the lease expires.
            if self._at_work is not None:
                with suppress(DatabaseUnavailable, StatementRefused):
                    await self._release(self._at_work, timedelta(0), within=timedelta(seconds=1))
            await self._session.close()

    async def _turn(self) -> timedelta:
        """Work on one replay for a while; answers how long to wait before the next."""
        try:
            replay = await replays.acquire(
                self._session, owner=self._owner, lease=self._lease, within=self._within
            )
            if replay is None:
                due = await replays.next_due(self._session, owner=self._owner, within=self._within)
                return self._poll if due is None else max(timedelta(0), min(due, self._poll))
            self._at_work = replay
            await self._work(replay)
        except (DatabaseUnavailable, StatementRefused) as error:
            _log.warning("replay interrupted", reason=str(error), replay=self._at_work and self._at_work.id)
            if self._at_work is not None and isinstance(error, StatementRefused):
                # Whatever it is, it must not keep other replays from their turns.
                with suppress(DatabaseUnavailable, StatementRefused):
                    await self._release(self._at_work, _TROUBLE)
            self._at_work = None
            return min(self._poll, timedelta(milliseconds=500))
        self._at_work = None
        return timedelta(0)

    async def _work(self, replay: Replay) -> None:
        if replay.state == "cancelled":
            # It needs no lease: whoever removes them, they are removed once.
            while not await replays.withdraw(self._session, replay.id, most=_STEP, within=self._within):
                pass
            return
        subscription = await subscriptions.find(self._session, replay.subscription, within=self._within)
        if subscription is None:
            await replays.fail(self._session, replay, "the subscription was deleted", within=self._within)
            return
        try:
            choice = self._choose(replay, subscription)
        except ValueError as error:
            reason = f"the subscription's expression can't be used: {error}"
            await replays.fail(self._session, replay, reason, within=self._within)
            return
        delay = await self._make_deliveries(replay, choice)
        if delay is not None:
            await self._release(replay, delay)

    def _choose(self, replay: Replay, subscription: Subscription) -> Choice:
        key = (replay.id, subscription.version)
        if key not in self._choices:
            if len(self._choices) >= _REMEMBERED:
                self._choices.clear()
            self._choices[key] = Choice(replay.selection, subscription)
        return self._choices[key]

    async def _make_deliveries(self, replay: Replay, choice: Choice) -> timedelta | None:
        """Step by step, until it has to wait or its turn is over; answers how long to wait, None if it is over."""
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + _TURN
        most = _STEP_WITH_BODIES if choice.reads_bodies else _STEP
        if replay.max_rate > 0:
            most = max(1, min(most, int(replay.max_rate / _PORTIONS)))
        position, outstanding, span = replay.position, replay.outstanding, _SHORTEST_SPAN
        while loop.time() < turn_ends:
            room = min(most, MOST_OUTSTANDING - outstanding)
            if room <= 0:
                return _FULL
            advanced = await self._step(replay, choice, position, span=max(span, room), room=room)
            if advanced is None or advanced.state != "running":
                return None
            if advanced.is_held:
                return _HELD
            if advanced.wait > timedelta(0):
                return advanced.wait
            position, outstanding = advanced.position, advanced.outstanding
            span = _SHORTEST_SPAN if advanced.added else min(4 * span, _LONGEST_SPAN)
        return timedelta(0)

    async def _step(
        self, replay: Replay, choice: Choice, position: Seq, *, span: int, room: int
    ) -> Advanced | None:
        looked = await look(
            self._session,
            choice,
            position=position,
            until_seq=replay.until_seq,
            span=span,
            most=room,
            within=self._within,
        )
        advanced = await replays.advance(
            self._session, replay, looked, lease=self._lease, within=self._within
        )
        if advanced is None:
            _log.info("replay taken away", replay=replay.id, subscription=replay.subscription)
        elif advanced.state == "completed":
            _log.info("replay completed", replay=replay.id, subscription=replay.subscription)
        return advanced

    async def _release(self, replay: Replay, delay: timedelta, *, within: timedelta | None = None) -> None:
        await replays.release(self._session, replay, delay=delay, within=within or self._within)
