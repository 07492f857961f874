"""Stored secrets are kept true in every edge: what is added, ended, sealed again, or can't be read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.fault_proxy import FaultProxy
from edge.secret_rig import (
    CANARY,
    SEALER,
    STRIPE,
    WITHIN,
    Edge,
    add,
    both_have,
    edge,
    edges,
    in_,
    logged,
    source,
    warnings,
)
from hookline.core.validity import Validity
from hookline.edge.secrets import stored
from hookline.sealing import Sealer
from hookline.store import secrets
from hookline.store.session import Session
from store.waiting import until


@pytest.fixture(autouse=True)
def said() -> Iterator[list[Any]]:
    with logged() as lines:
        yield lines


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    operator = Session(database, name="operator")
    yield operator
    await operator.close()


async def test_what_is_stored_and_ended_counts_in_every_edge(session: Session, database: str) -> None:
    await add(session, "a", b"a")
    async with edges({STRIPE: source("stored")}, database) as running:
        await add(session, "b", b"b")
        await both_have(running, b"b", b"a")
        await secrets.rotate(
            session, SEALER, b"c", source=STRIPE, secret_id="c", overlap=timedelta(seconds=1), within=WITHIN
        )
        await both_have(running, b"c", b"b", b"a")
        await both_have(running, b"c")
        await add(session, "d", b"d")
        await both_have(running, b"d", b"c")
        await secrets.expire(session, STRIPE, "d", at=None, within=WITHIN)
        await both_have(running, b"c")
        await secrets.remove(session, STRIPE, "c", within=WITHIN)
        await both_have(running)


async def test_a_hint_is_enough(session: Session, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_EVERY", 60.0)
    await add(session, "a", b"a")
    async with edges({STRIPE: source("stored")}, database) as running:
        await add(session, "b", b"b")
        await both_have(running, b"b", b"a")


async def test_without_any_hint_it_counts_in_time(session: Session, database: str, foreign: Any) -> None:
    await add(session, "a", b"a")
    await foreign.execute("ALTER TABLE hookline.secrets DISABLE TRIGGER ALL")
    try:
        async with edges({STRIPE: source("stored")}, database) as running:
            await add(session, "b", b"b")
            await both_have(running, b"b", b"a")
    finally:
        await foreign.execute("ALTER TABLE hookline.secrets ENABLE TRIGGER ALL")


async def test_a_secret_comes_and_goes_at_its_times(
    session: Session, database: str, monkeypatch: pytest.MonkeyPatch, said: list[Any]
) -> None:
    monkeypatch.setenv("KEY_A", "a")
    comes, goes = in_(1.5), in_(3)
    await add(session, "b", b"b", validity=Validity(comes, goes))
    async with edge({"ref": "env:KEY_A", "valid_until": comes}, "stored", dsn=database) as one:
        assert one.live[STRIPE] == (b"a",)
        await one.has(b"b")
        assert timedelta(0) <= datetime.now(UTC) - comes < timedelta(seconds=1)
        await one.has()
        assert timedelta(0) <= datetime.now(UTC) - goes < timedelta(seconds=1)
    assert [line["log_level"] for line in said] == ["info", "error"]
    assert said[-1] == {
        "event": "no live secret: every webhook is refused", "source": STRIPE, "log_level": "error",
    }  # fmt: skip


def cut(proxy: FaultProxy) -> None:
    proxy.cut()


def freeze(proxy: FaultProxy) -> None:
    proxy.freeze()


@pytest.mark.parametrize("fault", [cut, freeze])
async def test_without_the_database_what_is_live_stays_until_it_is_over(
    session: Session,
    proxy: FaultProxy,
    said: list[Any],
    fault: Callable[[FaultProxy], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes = in_(5)
    await add(session, "stays", b"stays")
    await add(session, "goes", b"goes", validity=Validity(None, goes))
    async with edge("stored", dsn=proxy.dsn) as one:
        assert one.live[STRIPE] == (b"goes", b"stays")
        fault(proxy)
        await add(session, "new", b"new")

        async def warned() -> bool:
            return len(warnings(said)) == 1

        await until(warned, "it is said that the database is away")
        assert one.live[STRIPE] == (b"goes", b"stays")
        await one.has(b"stays", patience=10)
        assert timedelta(0) <= datetime.now(UTC) - goes < timedelta(seconds=1)
        assert len(warnings(said)) == 1
        proxy.mend()
        proxy.thaw()
        await one.has(b"new", b"stays", patience=10)
        assert [line["event"] for line in said if line.get("secret")] == [
            "secret not reloaded; what was live stays",
            "secret readable again",
        ]
        # Hints are heard on the new connection as well. After one more look there is none without a hint.
        monkeypatch.setattr(stored, "_EVERY", 60.0)
        await add(session, "newer", b"newer")
        await one.has(b"newer", b"new", b"stays")
        await add(session, "newest", b"newest")
        await one.has(b"newest", b"newer", b"new", b"stays")


async def test_a_stored_secret_that_can_t_be_opened_any_more_stays_as_it_was(
    session: Session, database: str, foreign: Any, said: list[Any]
) -> None:
    await add(session, "a", b"a")
    await add(session, "b", b"b")
    async with edge("stored", dsn=database) as one:
        await foreign.execute("UPDATE hookline.secrets SET sealed = sealed || '\\x00' WHERE id = 'a'")
        await add(session, "sealed-elsewhere", CANARY.encode(), sealer=Sealer([b"O" * 32]))
        await add(session, "c", b"c")
        await one.has(b"c", b"b", b"a")
        assert sorted(line["secret"] for line in warnings(said)) == [
            "sources.stripe.secrets: stored:a",
            "sources.stripe.secrets: stored:sealed-elsewhere",
        ]
        # One that was removed and is there again, with a seal that doesn't open, is not the old one.
        await secrets.remove(session, STRIPE, "b", within=WITHIN)
        await add(session, "b", CANARY.encode(), sealer=Sealer([b"O" * 32]))
        await one.has(b"c", b"a")
        await secrets.expire(session, STRIPE, "a", at=None, within=WITHIN)
        await one.has(b"c")


async def test_what_is_sealed_again_with_another_key_is_no_change(session: Session, database: str) -> None:
    keys = b"N" * 32, b"K" * 32
    await add(session, "a", b"a")
    one = Edge({STRIPE: source("stored")}, database, Sealer(keys))
    one.live = dict(await one.secrets.load())
    task = asyncio.create_task(one.secrets.run())
    assert await secrets.reseal(session, Sealer(keys), within=WITHIN) == (1, 1)
    await add(session, "b", b"b", sealer=Sealer(keys))
    await one.has(b"b", b"a")
    assert len(one.changes) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_secret_that_the_scheme_can_t_use_keeps_no_good_one_out_and_none_in_that_is_over(
    session: Session, database: str, said: list[Any]
) -> None:
    goes = in_(3)
    await add(session, "goes", b"goes", validity=Validity(None, goes))
    async with edge("stored", dsn=database) as one:
        one.refused = {b"bad"}
        await add(session, "bad", b"bad")
        await add(session, "good", b"good")
        await one.has(b"good", b"goes")
        await one.has(b"good")
        assert {(line["secret"], line["reason"]) for line in warnings(said)} == {
            ("sources.stripe.secrets: stored:bad", "the scheme can't use it")
        }
        await secrets.remove(session, STRIPE, "good", within=WITHIN)
        await one.has()
