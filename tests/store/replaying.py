"""Replays as tests work on them: started by hand, and carried out step by step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

from hookline.core.subscription import AfterDeadLetter, Ordering, Subscription
from hookline.embedded import EmbeddedPostgres
from hookline.model import Seq, SubscriptionName
from hookline.store import replays
from hookline.store.ingest import ingest
from hookline.store.replayed_events import Choice, look
from hookline.store.replays import Advanced, Looked, Replay, Selection
from hookline.store.session import Session
from hookline.store.subscriptions import declare
from store.webhooks import WITHIN, webhook

NAME = SubscriptionName("all")
LEASE = timedelta(minutes=1)
OVER = timedelta(microseconds=1)
"""A lease that has run out by the time of the next statement."""
NOW = timedelta(0)
EVERYTHING = Selection()


@asynccontextmanager
async def own_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database that is dropped: replays and deliveries are left in it."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(postgres.url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE hookline_template")
    yield urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def subscribe(
    session: Session,
    ordering: Ordering = "none",
    after: AfterDeadLetter = "continue",
    *,
    types: tuple[str, ...] = ("*",),
) -> Subscription:
    subscription = Subscription(NAME, types=types, ordering=ordering, after_dead_letter=after)
    await declare(session, subscription, start="earliest", within=WITHIN)
    return subscription


async def accept(session: Session, count: int, *, keys: int = 4, type_: str = "complete") -> list[UUID]:
    """Events of a few keys, numbered in the order of the log."""
    ids = []
    for number in range(count):
        event = webhook(f"key-{number % keys}", f"{number}".encode(), type_=f"{type_}-{number}")
        await ingest(session, [event], within=WITHIN)
        ids.append(event.event_id)
    return ids


async def pass_all(foreign: Any) -> None:
    """Let every cursor pass the whole log, as if everything had been acked."""
    await foreign.execute(
        "UPDATE hookline.cursors SET position = (SELECT last_value FROM hookline.outbox_seq), pending = '{}'"
    )


async def start(session: Session, selection: Selection = EVERYTHING, *, max_rate: float = 0) -> int:
    position, until_seq = await replays.bounds(session, within=WITHIN)
    if selection.event_ids is not None:
        located = await replays.locate(session, selection.event_ids, within=WITHIN)
        selection = Selection(tuple(e.event_id for e in located), tuple(e.seq for e in located))
        position, until_seq = Seq(selection.seqs[0] - 1), selection.seqs[-1]
    created = await replays.create(
        session,
        NAME,
        selection,
        position=position,
        until_seq=until_seq,
        max_rate=max_rate,
        within=WITHIN,
    )
    assert created is not None
    return created


async def acquire(session: Session, owner: str = "a", lease: timedelta = LEASE) -> Replay:
    replay = await replays.acquire(session, owner=owner, lease=lease, within=WITHIN)
    assert replay is not None
    return replay


async def step(
    session: Session, replay: Replay, subscription: Subscription, position: int, *, most: int = 500
) -> tuple[Looked, Advanced | None]:
    choice = Choice(replay.selection, subscription)
    looked = await look(
        session,
        choice,
        position=Seq(position),
        until_seq=replay.until_seq,
        span=4_096,
        most=most,
        within=WITHIN,
    )
    return looked, await replays.advance(session, replay, looked, lease=LEASE, within=WITHIN)


async def finish(session: Session, subscription: Subscription, *, most: int = 500) -> tuple[Replay, Advanced]:
    """Work on the next replay until it waits for something or is completed."""
    replay = await acquire(session)
    position = replay.position
    while True:
        _, advanced = await step(session, replay, subscription, position, most=most)
        assert advanced is not None
        if advanced.is_held or advanced.state != "running":
            return replay, advanced
        position = advanced.position


async def rows(foreign: Any, replay: int | None = None) -> list[Any]:
    fetched: list[Any] = await foreign.fetch(
        "SELECT * FROM hookline.deliveries WHERE $1::bigint IS NULL OR replay = $1 ORDER BY seq, replay",
        replay,
    )
    return fetched


async def assert_in_order(foreign: Any, *, dead_blocks: bool = False) -> None:
    """Of the live rows of a key the lowest waits, and all others are blocked."""
    live = [
        row for row in await rows(foreign) if row["ordering_key"] and (row["state"] != "dead" or dead_blocks)
    ]
    seen: set[tuple[str, str]] = set()
    for row in live:
        key = (row["source"], row["ordering_key"])
        if row["state"] != "dead":
            assert row["state"] == ("blocked" if key in seen else "waiting"), [
                (r["seq"], r["replay"], r["state"]) for r in live if r["ordering_key"] == key[1]
            ]
        seen.add(key)


async def finish_from(session: Session, replay: Replay, subscription: Subscription) -> None:
    advanced: Advanced | None = Advanced(replay.position, "running", 0, 0, NOW, is_held=False)
    while advanced is not None and advanced.state == "running":
        _, advanced = await step(session, replay, subscription, advanced.position, most=5)
