"""The live secrets of sources are kept true: in every edge, within five seconds, whatever was changed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.fault_proxy import FaultProxy
from edge.secret_rig import (
    CANARY,
    SEALER,
    STRIPE,
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
from hookline.edge.secrets import check
from hookline.edge.secrets.files import _read
from hookline.errors import ConfigError, DatabaseUnavailable
from hookline.model import SourceName
from hookline.sealing import Sealer
from hookline.store.session import Session


@pytest.fixture(autouse=True)
def said() -> Iterator[list[Any]]:
    with logged() as lines:
        yield lines


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    operator = Session(database, name="operator")
    yield operator
    await operator.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{CANARY}-1\n", encoding="utf-8")
    return path


async def loaded(
    *references: Any, dsn: str | None = None, sealer: Sealer | None = SEALER
) -> tuple[bytes, ...]:
    one = Edge({STRIPE: source(*references)}, dsn, sealer)
    live = (await one.secrets.load())[STRIPE]
    await one.secrets._close()
    return live


async def mistake(*references: Any, **more: Any) -> str:
    with pytest.raises(ConfigError) as error:
        await loaded(*references, **more)  # and no connection is left open, which would be a warning
    assert CANARY not in f"{error.value}{error.value.__cause__}"
    return str(error.value)


async def test_every_kind_is_read_at_the_start_the_newest_first(
    session: Session, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "a")
    monkeypatch.setenv("KEY_B", "b")
    await add(session, "c", b"c")
    await add(session, "d", b"d", validity=Validity(in_(-60)))
    await add(session, "coming", b"coming", validity=Validity(in_(3600)))
    await add(session, "over", b"over", validity=Validity(None, in_(-1)))
    await add(session, "elsewhere", b"elsewhere", source=SourceName("shopify"))
    over = {"ref": "env:GONE", "valid_until": "2026-01-01T00:00:00Z"}
    later = {"ref": "env:KEY_B", "valid_from": "9000-01-01T00:00:00Z"}
    live = await loaded("env:KEY_B", f"file:{file}", "stored", "env:KEY_A", over, later, dsn=database)
    assert live == (b"c", b"d", b"b", f"{CANARY}-1".encode(), b"a")


async def test_a_source_without_secrets_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "a")
    open_ = source("env:KEY_A").model_copy(update={"secrets": ()})
    one = Edge({STRIPE: source("env:KEY_A"), "open": open_})
    assert await one.secrets.load() == {STRIPE: (b"a",)}


async def test_a_source_may_start_with_secrets_that_are_all_to_come(session: Session, database: str) -> None:
    await add(session, "coming", b"coming", validity=Validity(in_(3600)))
    assert await loaded("stored", dsn=database) == ()


async def test_an_edge_does_not_start_without_a_secret(
    session: Session, database: str, tmp_path: Path, said: list[Any]
) -> None:
    assert await mistake("env:NOBODY") == (
        "sources.stripe.secrets: env:NOBODY: is empty or not set; set the environment variable NOBODY"
    )
    later = {"ref": "env:NOBODY", "valid_from": "9000-01-01T00:00:00Z"}
    assert "set the environment variable NOBODY" in await mistake(later), "what is to come must be there"
    assert "can't be read: FileNotFoundError" in await mistake(f"file:{tmp_path / 'none'}")
    over = {"ref": "env:NOBODY", "valid_until": "2026-01-01T00:00:00Z"}
    assert await mistake(over) == (
        "sources.stripe.secrets: env:NOBODY: is over; add a secret that is still valid"
    )
    no_row = (
        "sources.stripe.secrets: stored: no secret of it is live or to come; "
        "add one with `hookline sources secrets add stripe`"
    )
    assert await mistake("stored", dsn=database) == no_row
    await add(session, "over", b"over", validity=Validity(None, in_(-1)))
    assert await mistake("stored", dsn=database) == no_row
    assert "set secrets.keys" in await mistake("stored", dsn=database, sealer=None)
    assert warnings(said) == []


async def test_a_stored_secret_that_can_t_be_opened_is_said_at_the_start(
    session: Session, database: str
) -> None:
    other = Sealer([b"O" * 32])
    await add(session, "a", CANARY.encode(), sealer=other)
    assert await mistake("stored", dsn=database) == (
        f"stored secret a of source stripe: sealed with key {other.key_id}, which isn't configured; "
        "add that key to secrets.keys"
    )


async def test_a_database_that_is_away_at_the_start_is_no_mistake_of_the_configuration(
    proxy: FaultProxy,
) -> None:
    proxy.cut()
    with pytest.raises(DatabaseUnavailable):
        await loaded("stored", dsn=proxy.dsn)


async def test_a_missing_stored_secret_is_a_warning_where_another_one_does(
    database: str, monkeypatch: pytest.MonkeyPatch, said: list[Any]
) -> None:
    monkeypatch.setenv("KEY_A", "a")
    assert await loaded("stored", "env:KEY_A", dsn=database) == (b"a",)
    [line] = warnings(said)
    assert "no secret of it is live or to come" in line["problem"]


def test_what_needs_no_database_is_checked_without_one(file: Path) -> None:
    check({STRIPE: source("stored", f"file:{file}")})
    file.unlink()
    with pytest.raises(ConfigError, match=r"^sources\.stripe\.secrets: file:.*FileNotFoundError"):
        check({STRIPE: source("stored", f"file:{file}")})


def write(file: Path, secret: str) -> None:
    file.write_text(secret, encoding="utf-8")


def replace(file: Path, secret: str) -> None:
    new = file.with_name("new")
    write(new, secret)
    new.rename(file)


def remove(file: Path) -> None:
    file.unlink()


def write_with_the_old_times(file: Path, secret: str) -> None:
    before = file.stat()
    write(file, secret)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [write, replace, write_with_the_old_times])
async def test_a_changed_file_counts_in_every_edge(file: Path, change: Callable[[Path, str], None]) -> None:
    async with edges({STRIPE: source(f"file:{file}")}) as running:
        change(file, f"{CANARY}-2\n")
        await both_have(running, f"{CANARY}-2".encode())
        assert [one.changes for one in running] == [[(STRIPE, (f"{CANARY}-2".encode(),))]] * 2


async def test_a_link_that_is_swapped_as_kubernetes_does_counts(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        write(tmp_path / f"..{version}" / "key", f"{CANARY}-{version}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "key").symlink_to("..data/key")
    async with edges({STRIPE: source(f"file:{tmp_path / 'key'}")}) as running:
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await both_have(running, f"{CANARY}-2".encode())


async def test_what_was_live_stays_while_the_file_can_t_be_read(
    file: Path, said: list[Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write(other, "1")
    async with edge(f"file:{file}", other=source(f"file:{other}")) as one:

        async def looked(number: int) -> None:
            """Both files were looked at several times more: the other one's change has been taken."""
            write(other, str(number))
            await one.has(str(number).encode(), name="other")

        remove(file)
        await looked(2)
        await looked(3)
        for number, garbage in enumerate((b"", b"\n", b"\xff" + CANARY.encode(), b"x" * 70_000), start=4):
            await asyncio.to_thread(file.write_bytes, garbage)
            await looked(number)
        assert one.live[STRIPE] == (f"{CANARY}-1".encode(),)
        [warning] = warnings(said)
        assert warning["secret"] == f"sources.stripe.secrets: file:{file}"
        assert warning["reason"].endswith("can't be read: FileNotFoundError")
        write(file, f"{CANARY}-2")
        await one.has(f"{CANARY}-2".encode())
        assert [line["event"] for line in said if line.get("secret")][1:] == ["secret readable again"]
        remove(file)
        await looked(8)
        assert len(warnings(said)) == 2


async def test_a_file_is_believed_when_two_looks_have_found_the_same(file: Path) -> None:
    one = Edge({STRIPE: source(f"file:{file}")})
    await one.secrets.load()
    files = one.secrets._files
    [found] = files._files
    for look in ("c", "ca", "canary", "", "canary", "canary-2", "canary-2", "canary-2"):
        write(file, look)
        files._believe(found, _read(*found))
    assert one.changes == [(STRIPE, (b"canary-2",))]


async def test_nothing_of_a_secret_is_shown(file: Path, session: Session, database: str) -> None:
    await add(session, "a", f"{CANARY}-stored".encode())
    async with edge(f"file:{file}", "stored", dsn=database) as one:
        assert len(one.live[STRIPE]) == 2
        everything = vars(one.secrets)
        shown = f"{one.secrets!r}{everything['_known']}{everything['_sources']}{everything['_stored']}"
        assert CANARY not in shown
