"""Settlements on their way to the relay that owns the shard, and those that others have passed on to us."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import structlog

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import Shard, SubscriptionName
from hookline.relay.token import TokenCodec
from hookline.store import forwarded
from hookline.store.forwarded import Forwarded
from hookline.store.session import Session
from hookline.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from hookline.relay.dispatch import Dispatcher

_log = structlog.get_logger(__name__)

_POLL = 0.5
"""Seconds between looks without a hint."""
_WITHIN = timedelta(seconds=5)
_Reason = pb.SettlementFailureReason
_STALE = _Reason.SETTLEMENT_FAILURE_REASON_STALE_TOKEN


class Forwarder:
    """Works through one table, so that relays need not reach each other: one object per relay.

    What the owner of a shard has carried out it answers in the same table. An owner that dies in between leaves the
    settlement to the next one, to whom it comes as a repeated one: that is answered as such, and does no harm.

    Args:
        session: For what others passed on.
        asking: For what we pass on.
        patience: How long to wait for an answer: a dead relay's lease has to end first.
        dispatchers: The subscriptions that we serve right now.
    """

    def __init__(
        self,
        session: Session,
        asking: Session,
        *,
        patience: timedelta,
        dispatchers: "Callable[[], Iterable[Dispatcher]]",
    ) -> None:
        self._session = session
        self._asking = asking
        self._patience = patience.total_seconds()
        self._dispatchers = dispatchers
        self._hints = asyncio.Event()
        self._judging: set[asyncio.Task[None]] = set()
        self._under_way: set[int] = set()
        """Those of others that are being judged: not to be taken twice."""

    def __repr__(self) -> str:
        return f"<Forwarder under_way={len(self._under_way)}>"

    def hear(self) -> None:
        """Something was passed on or answered."""
        hints, self._hints = self._hints, asyncio.Event()
        hints.set()

    async def forward(
        self, subscription: SubscriptionName, tokens: TokenCodec, settlements: Sequence[pb.Settlement]
    ) -> "list[pb.SettlementFailureReason.ValueType | None]":
        """Have settlements judged by whoever owns their shards; answers why each had no effect, or None.

        Raises:
            DatabaseUnavailable: It can't be known what became of them.
        """
        posted: list[tuple[Shard, bytes]] = []
        for settlement in settlements:
            named = tokens.decode(settlement.token)
            assert named is not None, "only what a token names can be passed on"
            posted.append((named.shard, settlement.SerializeToString()))
        ids = await forwarded.post(self._asking, subscription, posted, within=_WITHIN)
        waiting = {number: shard for number, (shard, _) in zip(ids, posted, strict=True)}
        answers: dict[int, int | None] = {}
        end = asyncio.get_running_loop().time() + self._patience
        while waiting:
            hints = self._hints
            late = asyncio.get_running_loop().time() >= end
            places = [(shard, number) for number, shard in waiting.items()]
            found = await forwarded.collect(self._asking, subscription, places, give_up=late, within=_WITHIN)
            answers.update(found)
            waiting = {number: shard for number, shard in waiting.items() if number not in found}
            if late:
                break
            if waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await hints.wait()
        return [_reason(answers.get(number)) for number in ids]

    async def run(self) -> None:
        """Carry out what others passed on, until cancelled."""
        while True:
            hints = self._hints
            try:
                await self._take()
            except (DatabaseUnavailable, StatementRefused) as error:
                _log.warning("forwarded settlements not read", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await hints.wait()

    async def close(self) -> None:
        """Stop judging, and close the connections."""
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)
        await self._session.close()
        await self._asking.close()

    async def _take(self) -> None:
        dispatchers = {dispatcher.subscription.name: dispatcher for dispatcher in self._dispatchers()}
        owned = [(name, shard) for name, dispatcher in dispatchers.items() for shard in dispatcher.shards]
        if not owned:
            return
        found = await forwarded.take(self._session, owned, within=_WITHIN)
        by_subscription: dict[SubscriptionName, list[Forwarded]] = {}
        for one in found:
            if one.id not in self._under_way:
                by_subscription.setdefault(one.subscription, []).append(one)
        for name, batch in by_subscription.items():
            self._under_way.update(one.id for one in batch)
            # Apart: a token of something that has not been read yet holds up its own batch only.
            task = asyncio.create_task(self._judge(dispatchers[name], batch))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    async def _judge(self, dispatcher: "Dispatcher", batch: list[Forwarded]) -> None:
        try:
            settlements = [pb.Settlement.FromString(one.settlement) for one in batch]
            owned = set(dispatcher.shards)
            ours = [
                (one, settlement)
                for one, settlement in zip(batch, settlements, strict=True)
                if one.shard in owned
            ]
            failures = {
                failure.token: failure.reason
                for failure in await dispatcher.settle(
                    [settlement for _, settlement in ours], forwarding=False
                )
            }
            still_owned = set(dispatcher.shards)
            answers = [
                (one, int(failures.get(settlement.token, 0)))
                for one, settlement in ours
                if one.shard in still_owned
            ]
            if answers:
                await forwarded.answer(self._session, answers, within=_WITHIN)
        except (DatabaseUnavailable, StatementRefused) as error:
            # They are still in the table, without an answer.
            _log.warning("forwarded settlements not answered", reason=str(error))
        finally:
            self._under_way.difference_update(one.id for one in batch)


def _reason(answer: int | None) -> "pb.SettlementFailureReason.ValueType | None":
    """An answer that never came means that nobody will judge it any more."""
    if answer is None:
        return _STALE
    return cast("pb.SettlementFailureReason.ValueType", answer) if answer else None
