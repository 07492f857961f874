"""`hookline.v1.EventService`: what was received, and what became of it."""
# ruff: noqa: N802  (methods are named as in the contract)

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from hookline.admin.event_history import DeliveryHistory, histories
from hookline.admin.event_messages import (
    event_name,
    read_event_name,
    read_filter,
    write_delivery,
    write_entry,
    write_event,
)
from hookline.admin.globs import globs_that_fit
from hookline.admin.page import page_size, page_token, read_page_token
from hookline.core.filter import Filter
from hookline.core.subscription import Subscription
from hookline.model import LoggedEvent, Seq
from hookline.rpc import answer, not_found
from hookline.store import acks, events, log, replays, timeline
from hookline.store.events import Event, EventFilter, LedgerEntry
from hookline.store.session import Session
from hookline.v1 import event_pb2 as pb
from hookline.v1.event_pb2_grpc import EventServiceServicer

if TYPE_CHECKING:
    import grpc

_WITHIN = timedelta(seconds=30)
_PATIENCE = timedelta(seconds=5)
"""How long a page is searched for; what is there by then is the page."""
_FIRST_LOOK = 1_000
_LONGEST_LOOK = 50_000
"""Seqs that one statement looks at."""
_LATE = timedelta(hours=1)
"""How far an edge's clock may be ahead of the database's."""


class EventService(EventServiceServicer):
    """Answers operators and programs.

    Args:
        dsn: The database.
        patience: How long a page is searched for.
    """

    def __init__(self, dsn: str, *, patience: timedelta = _PATIENCE) -> None:
        self._session = Session(dsn, name="admin events")
        self._search = Session(dsn, name="admin event search")
        """Apart, because a search takes seconds and others wait for their turn."""
        self._patience = patience.total_seconds()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        await self._search.close()

    async def GetEvent(
        self,
        request: pb.GetEventRequest,
        context: "grpc.aio.ServicerContext[pb.GetEventRequest, pb.GetEventResponse]",
    ) -> pb.GetEventResponse:
        """Read one with all that is known of its deliveries."""
        return await answer(context, self._get(request))

    async def ListEvents(
        self,
        request: pb.ListEventsRequest,
        context: "grpc.aio.ServicerContext[pb.ListEventsRequest, pb.ListEventsResponse]",
    ) -> pb.ListEventsResponse:
        """Read a page of what the log holds, the newest first."""
        return await answer(context, self._list(request))

    async def _get(self, request: pb.GetEventRequest) -> pb.GetEventResponse:
        event_id = read_event_name("name", request.name)
        entry = await events.find(self._session, event_id, within=_WITHIN)
        if entry is None:
            raise not_found(
                "EVENT_NOT_FOUND",
                f"there is no event {event_id}: it was never accepted here; ListEvents names what the log holds",
            )
        others = await events.revisions(self._session, entry, within=_WITHIN)
        return pb.GetEventResponse(
            event=write_entry(entry),
            deliveries=[write_delivery(one, entry.event) for one in await self._histories(entry)],
            logged=entry.logged,
            revisions=[event_name(other) for other in others],
        )

    async def _histories(self, entry: LedgerEntry) -> list[DeliveryHistory]:
        """Everything that is recorded of its deliveries.

        In this order: a settlement that is committed meanwhile is found in what is read last.
        """
        event = entry.event
        place = event.shard, event.seq
        first_day = timeline.first_day_of(entry)
        passages = await timeline.passages(self._session, *place, within=_WITHIN)
        rows = await timeline.troubled(self._session, *place, within=_WITHIN)
        attempts = await timeline.attempts(self._session, *place, first_day=first_day, within=_WITHIN)
        acked = await acks.of_event(self._session, *place, first_day=first_day, within=_WITHIN)
        content = None
        if any(passage.subscription.expression for passage in passages):
            logged = await log.read_pending(self._session, [place], body_bytes=1, within=_WITHIN)
            content = logged[0] if logged else None
        return histories(
            passages, rows, attempts, acked, wants=lambda subscription: _wants(subscription, event, content)
        )

    async def _list(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        size = page_size(request.page_size)
        wanted = read_filter("filter", request.filter)
        question = b"ListEvents" + request.filter.SerializeToString(deterministic=True)
        bottom, upto = await replays.bounds(self._search, within=_WITHIN)
        if request.page_token:
            upto = min(upto, Seq(read_page_token(request.page_token, int, of=question)))
        with globs_that_fit():
            found, rest = await self._search_down(wanted, bottom=bottom, upto=upto, most=size + 1)
        if len(found) > size:
            found, rest = found[:size], Seq(found[size].seq)
        return pb.ListEventsResponse(
            events=[write_event(event) for event in found],
            next_page_token=page_token(rest, of=question) if rest > bottom else "",
        )

    async def _search_down(
        self, wanted: EventFilter, *, bottom: Seq, upto: Seq, most: int
    ) -> tuple[list[Event], Seq]:
        """What fits, from the newest on, and from where on it is to be searched for more."""
        found: list[Event] = []
        span = _FIRST_LOOK
        ends = asyncio.get_running_loop().time() + self._patience
        while upto > bottom and len(found) < most and asyncio.get_running_loop().time() < ends:
            above = Seq(max(upto - span, bottom))
            looked = await events.look(
                self._search, wanted, above=above, upto=upto, most=most - len(found), within=_WITHIN
            )
            found += looked.found
            upto = above
            span = min(span * 4, _LONGEST_LOOK)
            # What was committed before was received before. Not so the other way round: a rejection that was admitted
            # was received long before what is next to it.
            if looked.newest is not None and looked.newest + _LATE < wanted.received_after:
                return found, bottom
        return found, upto


def _wants(subscription: Subscription, event: Event, content: LoggedEvent | None) -> bool:
    """Whether its filter lets the event through, as far as that can be told without a body that is gone."""
    logged = content or LoggedEvent(
        event.id,
        event.seq,
        event.received_at,
        event.shard,
        event.revision,
        event.source,
        event.type,
        "",
        event.traceparent,
        "",
        "[]",
        b"",
    )
    expression = subscription.expression if content is not None else ""
    chosen = Filter(sources=subscription.sources, types=subscription.types, expression=expression)
    return chosen.matches(logged)
