"""Secrets of sources in the database: sealed, bound to their row, with times of their own."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from hookline.core.validity import ALWAYS, Validity
from hookline.errors import StatementRefused
from hookline.model import SourceName
from hookline.sealing import SealBroken, Sealer
from hookline.store import secrets
from hookline.store.session import Session
from store.webhooks import WITHIN

STRIPE, SHOPIFY = SourceName("stripe"), SourceName("shopify")
SEALER = Sealer([b"K" * 32])
CANARY = b"canary-secret-4711"
HOUR = timedelta(hours=1)


async def add(
    session: Session,
    secret_id: str,
    secret: bytes = CANARY,
    *,
    source: SourceName = STRIPE,
    validity: Validity = ALWAYS,
    sealer: Sealer = SEALER,
) -> bool:
    return await secrets.add(
        session, sealer, secret, source=source, secret_id=secret_id, validity=validity, within=WITHIN
    )


async def rotate(session: Session, secret_id: str, overlap: timedelta) -> list[str] | None:
    return await secrets.rotate(
        session, SEALER, CANARY, source=STRIPE, secret_id=secret_id, overlap=overlap, within=WITHIN
    )


async def states(session: Session) -> dict[str, str]:
    listed = await secrets.listed(session, STRIPE, within=WITHIN)
    return {one.secret.id: one.state for one in listed}


async def now(foreign: Any) -> datetime:
    moment: datetime = await foreign.fetchval("SELECT clock_timestamp()")
    return moment


async def test_what_was_stored_is_opened_again(session: Session) -> None:
    validity = Validity(datetime(2026, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
    assert await add(session, "a", b"\x00schl\xc3\xbcssel")
    assert await add(session, "b", validity=validity)
    assert await add(session, "a", b"of another source", source=SHOPIFY)
    first, second = await secrets.current(session, [STRIPE], within=WITHIN)
    assert (first.source, first.id, first.validity) == (STRIPE, "a", ALWAYS)
    assert (second.source, second.id, second.validity) == (STRIPE, "b", validity)
    assert (first.open(SEALER), second.open(SEALER)) == (b"\x00schl\xc3\xbcssel", CANARY)
    both = await secrets.current(session, [STRIPE, SHOPIFY], within=WITHIN)
    assert [(one.source, one.id) for one in both] == [(SHOPIFY, "a"), (STRIPE, "a"), (STRIPE, "b")]


async def test_an_id_is_taken_once_and_the_first_secret_stays(session: Session) -> None:
    assert await add(session, "a", b"first")
    assert not await add(session, "a", b"second")
    assert await rotate(session, "a", HOUR) is None
    [only] = await secrets.listed(session, None, within=WITHIN)
    assert (only.secret.open(SEALER), only.secret.validity) == (b"first", ALWAYS)


async def test_the_database_holds_neither_secret_nor_key(session: Session, foreign: Any) -> None:
    await add(session, "a")
    row = await foreign.fetchrow("SELECT s.*, s::text AS everything FROM hookline.secrets AS s")
    for hidden in (CANARY, b"K" * 8, CANARY.hex().encode()):
        assert hidden not in row["sealed"]
        assert hidden.decode() not in row["everything"]
    [read] = await secrets.current(session, [STRIPE], within=WITHIN)
    assert "sealed" not in repr(read)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE hookline.secrets SET source = 'shopify'",
        "UPDATE hookline.secrets SET id = 'b'",
        "UPDATE hookline.secrets SET sealed = set_bit(sealed, 200, 1 - get_bit(sealed, 200))",
        "UPDATE hookline.secrets SET sealed = substring(sealed FROM 1 FOR octet_length(sealed) - 1)",
    ],
)
async def test_what_was_moved_or_altered_does_not_open(session: Session, foreign: Any, change: str) -> None:
    await add(session, "a")
    await foreign.execute(change)
    [listed] = await secrets.listed(session, None, within=WITHIN)
    with pytest.raises(
        SealBroken, match=r"^secret (a|b) of source (stripe|shopify): sealed with key"
    ) as error:
        listed.secret.open(SEALER)
    assert CANARY.decode() not in str(error.value)


async def test_every_state_is_told_by_the_database_s_clock(session: Session, foreign: Any) -> None:
    moment = await now(foreign)
    await add(session, "always")
    await add(session, "live", validity=Validity(moment - HOUR, moment + HOUR))
    await add(session, "coming", validity=Validity(moment + HOUR))
    await add(session, "expired", validity=Validity(None, moment))
    assert await states(session) == {
        "always": "live", "live": "live", "coming": "coming", "expired": "expired",
    }  # fmt: skip
    current = await secrets.current(session, [STRIPE], within=WITHIN)
    assert [one.id for one in current] == ["always", "coming", "live"], "what is over is nobody's business"


async def test_one_ends_now_or_at_a_time(session: Session, foreign: Any) -> None:
    for secret_id in ("a", "b"):
        await add(session, secret_id)
    later = await now(foreign) + HOUR
    assert await secrets.expire(session, STRIPE, "b", at=later, within=WITHIN) == later
    before = await now(foreign)
    ended = await secrets.expire(session, STRIPE, "a", at=None, within=WITHIN)
    assert ended is not None
    assert before <= ended <= await now(foreign)
    assert await states(session) == {"a": "expired", "b": "live"}


async def test_an_end_can_be_moved_until_it_is_over_and_never_before_the_beginning(
    session: Session, foreign: Any
) -> None:
    moment = await now(foreign)
    await add(session, "ends", validity=Validity(None, moment + HOUR))
    await add(session, "coming", validity=Validity(moment + HOUR))
    await add(session, "over", validity=Validity(None, moment))

    async def expire(secret_id: str, at: datetime | None) -> datetime | None:
        return await secrets.expire(session, STRIPE, secret_id, at=at, within=WITHIN)

    assert await expire("ends", moment + 2 * HOUR) == moment + 2 * HOUR
    assert await expire("coming", None) is None
    assert await expire("coming", moment + HOUR) is None
    assert await expire("coming", moment + 2 * HOUR) == moment + 2 * HOUR
    assert await expire("over", moment + HOUR) is None, "what is over doesn't come back"
    assert await expire("nobody", None) is None
    assert await secrets.expire(session, SHOPIFY, "ends", at=None, within=WITHIN) is None
    assert await states(session) == {"ends": "live", "coming": "coming", "over": "expired"}


async def test_a_rotation_adds_one_and_ends_what_is_live_after_the_overlap(
    session: Session, foreign: Any
) -> None:
    moment = await now(foreign)
    await add(session, "old")
    await add(session, "ends-later", validity=Validity(moment - HOUR, moment + 30 * HOUR))
    await add(session, "ends-sooner", validity=Validity(None, moment + HOUR))
    await add(session, "coming", validity=Validity(moment + HOUR))
    await add(session, "over", validity=Validity(None, moment))
    await add(session, "old", source=SHOPIFY)
    before = await now(foreign)
    assert await rotate(session, "new", 24 * HOUR) == ["ends-later", "ends-sooner", "old"]
    after = await now(foreign)

    found = {one.secret.id: one.secret for one in await secrets.listed(session, STRIPE, within=WITHIN)}
    for ends in ("old", "ends-later"):
        until = found[ends].validity.valid_until
        assert until is not None
        assert before + 24 * HOUR <= until <= after + 24 * HOUR
    assert found["ends-sooner"].validity.valid_until == moment + HOUR
    assert found["coming"].validity == Validity(moment + HOUR)
    assert found["over"].validity == Validity(None, moment)
    assert (found["new"].validity, found["new"].open(SEALER)) == (ALWAYS, CANARY)
    [elsewhere] = await secrets.listed(session, SHOPIFY, within=WITHIN)
    assert elsewhere.secret.validity == ALWAYS


async def test_a_rotation_without_overlap_ends_the_others_at_once(session: Session) -> None:
    await add(session, "old")
    assert await rotate(session, "new", timedelta(0)) == ["old"]
    assert await states(session) == {"old": "expired", "new": "live"}


async def test_one_is_removed(session: Session) -> None:
    await add(session, "a")
    assert not await secrets.remove(session, SHOPIFY, "a", within=WITHIN)
    assert await secrets.remove(session, STRIPE, "a", within=WITHIN)
    assert not await secrets.remove(session, STRIPE, "a", within=WITHIN)
    assert await secrets.listed(session, None, within=WITHIN) == []


async def test_everything_is_sealed_again_with_the_first_key(session: Session) -> None:
    old, new = Sealer([b"O" * 32]), Sealer([b"N" * 32, b"O" * 32])
    await add(session, "a", b"one", sealer=old)
    await add(session, "b", b"two", sealer=new)
    await add(session, "a", b"three", source=SHOPIFY, sealer=old, validity=Validity(None, datetime.now(UTC)))
    assert await secrets.reseal(session, new, within=WITHIN) == (2, 2)
    alone = Sealer([b"N" * 32])
    opened = [one.secret.open(alone) for one in await secrets.listed(session, None, within=WITHIN)]
    assert opened == [b"three", b"one", b"two"]
    assert await secrets.reseal(session, new, within=WITHIN) == (0, 0), "again there is nothing to do"


async def test_nothing_is_sealed_again_while_a_key_is_missing(session: Session, foreign: Any) -> None:
    old = Sealer([b"O" * 32])
    await add(session, "a")
    await add(session, "z", sealer=old)
    before = await foreign.fetch("SELECT * FROM hookline.secrets ORDER BY id")
    with pytest.raises(SealBroken) as error:
        await secrets.reseal(session, Sealer([b"N" * 32, b"K" * 32]), within=WITHIN)
    assert str(error.value) == (
        f"secret z of source stripe: sealed with key {old.key_id}, which isn't configured; "
        "add that key to secrets.keys"
    )
    assert await foreign.fetch("SELECT * FROM hookline.secrets ORDER BY id") == before


async def test_nothing_is_sealed_again_while_anything_is_broken(session: Session, foreign: Any) -> None:
    new = Sealer([b"N" * 32, b"K" * 32])
    await add(session, "a")
    await add(session, "z", sealer=new)
    await foreign.execute("UPDATE hookline.secrets SET sealed = sealed || '\\x00' WHERE id = 'z'")
    before = await foreign.fetch("SELECT * FROM hookline.secrets ORDER BY id")
    with pytest.raises(SealBroken, match=r"^secret z of source stripe: .* altered since"):
        await secrets.reseal(session, new, within=WITHIN)
    assert await foreign.fetch("SELECT * FROM hookline.secrets ORDER BY id") == before


async def test_what_changes_while_it_is_sealed_again_is_left_as_it_is(
    session: Session, foreign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(session, "a")
    new = Sealer([b"N" * 32, b"K" * 32])
    other = new.seal(b"other", bound_to=("secret", STRIPE, "a"))
    listed = secrets.listed

    async def and_then_it_changes(*args: Any, **kwargs: Any) -> list[secrets.ListedSecret]:
        found = await listed(*args, **kwargs)
        await foreign.execute("UPDATE hookline.secrets SET sealed = $1", other)
        return found

    monkeypatch.setattr(secrets, "listed", and_then_it_changes)
    assert await secrets.reseal(session, new, within=WITHIN) == (0, 1)
    assert await foreign.fetchval("SELECT sealed FROM hookline.secrets") == other


async def test_every_change_is_a_hint(session: Session, database: str) -> None:
    listener = await asyncpg.connect(database)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener(secrets.SECRETS, lambda *said: heard.put_nowait(str(said[-1])))
    changes: list[Callable[[], Any]] = [
        lambda: add(session, "a"),
        lambda: rotate(session, "b", HOUR),
        lambda: secrets.expire(session, STRIPE, "a", at=None, within=WITHIN),
        lambda: secrets.reseal(session, Sealer([b"N" * 32, b"K" * 32]), within=WITHIN),
        lambda: secrets.remove(session, STRIPE, "a", within=WITHIN),
        lambda: listener.execute("TRUNCATE hookline.secrets"),
    ]
    for change in changes:
        assert await change() is not None
        async with asyncio.timeout(5):
            assert await heard.get() == ""
        while not heard.empty():  # a rotation is two changes
            heard.get_nowait()
    await listener.close()


@pytest.mark.parametrize(
    ("secret_id", "secret"),
    [
        ("UPPER", CANARY),
        ("", CANARY),
        ("a" * 64, CANARY),
        ("a", b""),
        ("a", b"x" * 66_000),
    ],
)
async def test_what_is_impossible_is_refused_by_the_database_without_its_text(
    session: Session, secret_id: str, secret: bytes
) -> None:
    with pytest.raises(StatementRefused, match="CheckViolation") as error:
        await add(session, secret_id, secret)
    assert CANARY.decode() not in str(error.value)


async def test_a_span_that_ends_before_it_begins_is_refused(session: Session, foreign: Any) -> None:
    await add(session, "a", validity=Validity(datetime(2026, 1, 2, tzinfo=UTC)))
    with pytest.raises(asyncpg.CheckViolationError):
        await foreign.execute("UPDATE hookline.secrets SET valid_until = '2026-01-02T00:00:00Z'")
