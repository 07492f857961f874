"""`hookline.v1.ReplayService`: start replays, watch them, and stop them. Relays carry them out."""

import asyncio
from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from hookline.admin.fields import shown
from hookline.admin.page import page_size, page_token, read_page_token
from hookline.admin.replay_count import count
from hookline.admin.replay_messages import read_event_ids, read_filter, read_id, read_rate, replay_message
from hookline.core.subscription import Subscription
from hookline.model import Seq, SubscriptionName
from hookline.rpc import RpcError, answer, failed_precondition, invalid, not_found
from hookline.store import replays, retention, subscriptions
from hookline.store.replayed_events import Choice
from hookline.store.replays import Located, Replay, Selection
from hookline.store.session import Session
from hookline.v1 import replay_pb2 as pb
from hookline.v1.replay_pb2_grpc import ReplayServiceServicer

if TYPE_CHECKING:
    import grpc


_WITHIN = timedelta(seconds=10)
_COUNT_PATIENCE = timedelta(seconds=10)
_WITHDRAW_PATIENCE = timedelta(seconds=5)
"""What isn't withdrawn in that time, a relay withdraws."""
_WITHDRAWN_AT_ONCE = 500
_BEYOND = 2**63 - 1
"""Above every id."""
_SHOWN = 3


class ReplayService(ReplayServiceServicer):
    """Answers operators and programs.

    Args:
        dsn: The database.
        count_patience: How long a count may take before it is answered as "at most".
    """

    def __init__(self, dsn: str, *, count_patience: timedelta = _COUNT_PATIENCE) -> None:
        self._session = Session(dsn, name="admin replays")
        self._counting = Session(dsn, name="admin replay count")
        """Apart, because a count takes seconds and others wait for their turn."""
        self._count_patience = count_patience

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        await self._counting.close()

    async def CreateReplay(  # noqa: N802  (the names in the contract, here and below)
        self,
        request: pb.CreateReplayRequest,
        context: "grpc.aio.ServicerContext[pb.CreateReplayRequest, pb.CreateReplayResponse]",
    ) -> pb.CreateReplayResponse:
        """Start a replay, or count what it would deliver."""
        return await answer(context, self._create(request))

    async def GetReplay(  # noqa: N802
        self,
        request: pb.GetReplayRequest,
        context: "grpc.aio.ServicerContext[pb.GetReplayRequest, pb.GetReplayResponse]",
    ) -> pb.GetReplayResponse:
        """Read a replay and its progress."""
        return await answer(context, self._get(request))

    async def ListReplays(  # noqa: N802
        self,
        request: pb.ListReplaysRequest,
        context: "grpc.aio.ServicerContext[pb.ListReplaysRequest, pb.ListReplaysResponse]",
    ) -> pb.ListReplaysResponse:
        """Read a page of replays, the newest first."""
        return await answer(context, self._list(request))

    async def CancelReplay(  # noqa: N802
        self,
        request: pb.CancelReplayRequest,
        context: "grpc.aio.ServicerContext[pb.CancelReplayRequest, pb.CancelReplayResponse]",
    ) -> pb.CancelReplayResponse:
        """Stop a replay and withdraw its deliveries."""
        return await answer(context, self._cancel(request))

    async def _create(self, request: pb.CreateReplayRequest) -> pb.CreateReplayResponse:
        asked = request.replay
        max_rate = read_rate(asked.max_rate)
        subscription = await self._subscription(asked.subscription)
        remark = ""
        if asked.WhichOneof("which") == "events":
            selection = await self._select_events(asked.events)
            position, until_seq = Seq(selection.seqs[0] - 1), selection.seqs[-1]
        elif asked.WhichOneof("which") == "filter":
            selection = read_filter(asked.filter)
            position, until_seq = await replays.bounds(self._session, within=_WITHIN)
            remark = await self._remark(selection)
        else:
            raise invalid(
                "WHICH_EXPECTED",
                "replay: says not which events; set `events`, or `filter` (an empty one picks all)",
            )
        if request.validate_only:
            message = pb.Replay(subscription=subscription.name, max_rate=max_rate)
            counted = await count(
                self._counting,
                Choice(selection, subscription),
                position=position,
                until_seq=until_seq,
                patience=self._count_patience,
            )
            message.created = counted.events
            inexact = (
                "" if counted.is_exact else "at most so many: counting them all would have taken too long"
            )
            message.reason = "; ".join(filter(None, (inexact, remark)))
            return pb.CreateReplayResponse(replay=message)
        replay_id = await replays.create(
            self._session,
            subscription.name,
            selection,
            position=position,
            until_seq=until_seq,
            max_rate=max_rate,
            reason=remark,
            within=_WITHIN,
        )
        if replay_id is None:
            if selection.event_ids is not None:
                # Unless they were dropped since, which is said there.
                await self._select_events(asked.events)
            raise _no_subscription(asked.subscription)
        return pb.CreateReplayResponse(replay=replay_message(await self._find(replay_id)))

    async def _get(self, request: pb.GetReplayRequest) -> pb.GetReplayResponse:
        return pb.GetReplayResponse(replay=replay_message(await self._find(read_id(request.name))))

    async def _list(self, request: pb.ListReplaysRequest) -> pb.ListReplaysResponse:
        name, size = request.subscription, page_size(request.page_size)
        if name:
            await self._subscription(name)
        token = request.page_token
        below = read_page_token(token, int, of=name.encode()) if token else _BEYOND
        found = await replays.page(self._session, name, below=below, most=size + 1, within=_WITHIN)
        shown_here = found[:size]
        # A page that is short because of its size in bytes has more after it, too.
        last = shown_here[-1].id if shown_here else 0
        more = bool(shown_here) and bool(
            len(found) > size or await replays.page(self._session, name, below=last, most=1, within=_WITHIN)
        )
        return pb.ListReplaysResponse(
            replays=[replay_message(replay) for replay in shown_here],
            next_page_token=page_token(last, of=name.encode()) if more else "",
        )

    async def _cancel(self, request: pb.CancelReplayRequest) -> pb.CancelReplayResponse:
        replay_id = read_id(request.name)
        await self._find(replay_id)
        await replays.cancel(self._session, replay_id, within=_WITHIN)
        ends = asyncio.get_running_loop().time() + _WITHDRAW_PATIENCE.total_seconds()
        while asyncio.get_running_loop().time() < ends:
            if await replays.withdraw(self._session, replay_id, most=_WITHDRAWN_AT_ONCE, within=_WITHIN):
                break
        return pb.CancelReplayResponse(replay=replay_message(await self._find(replay_id)))

    async def _subscription(self, name: str) -> Subscription:
        found = None
        if subscriptions.NAME.fullmatch(name):
            found = await subscriptions.find(self._session, SubscriptionName(name), within=_WITHIN)
        if found is None:
            raise _no_subscription(name)
        return found

    async def _find(self, replay_id: int) -> Replay:
        replay = await replays.find(self._session, replay_id, within=_WITHIN)
        if replay is None:
            raise not_found(
                "REPLAY_NOT_FOUND",
                f"there is no replay replays/{replay_id}; it is gone if its subscription was deleted",
            )
        return replay

    async def _select_events(self, message: pb.EventIds) -> Selection:
        ids = read_event_ids(message)
        located = await replays.locate(self._session, ids, within=_WITHIN)
        known = {event.event_id for event in located}
        if unknown := [event_id for event_id in ids if event_id not in known]:
            raise invalid(
                "UNKNOWN_EVENTS",
                f"replay.events.ids: {len(unknown)} of {len(ids)} events were never accepted here: "
                f"{_some(unknown)}; leave them out",
            )
        if dropped := [event.event_id for event in located if not event.logged]:
            raise failed_precondition(
                "EVENTS_DROPPED",
                f"replay.events.ids: {len(dropped)} of {len(ids)} events aren't in the log any more, because their "
                f"time of retention is over: {_some(dropped)}; they can't be replayed, leave them out",
            )
        return _selection(located)

    async def _remark(self, selection: Selection) -> str:
        """What has to be said of a choice that reaches further back than the log."""
        since = await retention.complete_since(self._session, within=_WITHIN)
        if since is None or (selection.start_time is not None and selection.start_time >= since):
            return ""
        return (
            f"the log is complete since {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} only:"
            " of what was received before, the time of retention is over"
        )


def _selection(located: list[Located]) -> Selection:
    return Selection(
        event_ids=tuple(event.event_id for event in located), seqs=tuple(event.seq for event in located)
    )


def _some(ids: list[UUID]) -> str:
    """The first few."""
    first = ", ".join(map(str, ids[:_SHOWN]))
    return first if len(ids) <= _SHOWN else f"{first} and {len(ids) - _SHOWN} more"


def _no_subscription(name: str) -> RpcError:
    return not_found(
        "SUBSCRIPTION_NOT_FOUND",
        f"there is no subscription {shown(name)}; ListSubscriptions names those that there are",
    )
