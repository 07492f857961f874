"""Secrets are rotated in edges that run: two processes, each right within five seconds, and no restart."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from edge.provider import Answer, Wire, body
from edge.running import EdgeProcess
from hookline.core.validity import ALWAYS, Validity
from hookline.model import SourceName
from hookline.sealing import Sealer, encode_key
from hookline.store import secrets
from hookline.store.session import Session
from path.rig.run import hookline
from store.waiting import until

PROMISE = 5.0
"""Seconds until a change counts everywhere."""
BEGINI = SourceName("begini")
WITHIN = timedelta(seconds=5)
KEY = b"K" * 32
FIRST, SECOND = "canary-secret-1", "canary-secret-2"
Start = Callable[..., Awaitable[EdgeProcess]]


async def answered(edge: EdgeProcess, secret: str) -> Answer:
    async with Wire(edge.address) as wire:
        return await wire.send(body("A"), key=secret)


async def accepts(edge: EdgeProcess, secret: str) -> bool:
    status = (await answered(edge, secret)).status
    assert status in (200, 403), status
    return status == 200


async def effective(
    edges: list[EdgeProcess], *, good: tuple[str, ...], bad: tuple[str, ...], after: datetime | None = None
) -> None:
    """Wait until each edge takes exactly the good ones: soon from now on, or from a moment on and not before."""
    planned = max(0.0, (after - datetime.now(UTC)).total_seconds()) if after else 0.0
    began = monotonic()

    async def so() -> bool:
        taken = [await accepts(edge, secret) for edge in edges for secret in (*good, *bad)]
        return taken == [*[True] * len(good), *[False] * len(bad)] * len(edges)

    await until(so, f"{len(edges)} edges take {len(good)} secrets", patience=planned + PROMISE)
    took = monotonic() - began - planned
    assert -0.001 < took < PROMISE
    print(f"effective in {len(edges)} edges after {took:.2f} s")


def configure(directory: Path, references: str) -> None:
    (directory / "hookline.toml").write_text(
        f"""
        [sources.begini]
        scheme = "begini"
        secrets = {references}
        [secrets]
        keys = ["env:KEY_OF_THE_TEST"]
        """,
        encoding="utf-8",
    )


async def two(start_process: Start, directory: Path, references: str) -> list[EdgeProcess]:
    configure(directory, references)
    starts = [start_process(KEY_OF_THE_TEST=encode_key(KEY)) for _ in range(2)]
    return list(await asyncio.gather(*starts))


def nothing_is_told(edges: list[EdgeProcess]) -> None:
    for edge in edges:
        assert edge.is_running
        assert not re.search(rf"canary-secret|{encode_key(KEY)}", str(edge.lines))


async def test_a_secret_in_a_file_is_rotated_with_an_overlap(start_process: Start, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(FIRST, encoding="utf-8")
    new.write_text(FIRST, encoding="utf-8")
    ends = datetime.now(UTC) + timedelta(seconds=15)
    references = f'["file:{new}", {{ ref = "file:{old}", valid_until = {ends.isoformat()} }}]'
    edges = await two(start_process, tmp_path, references)
    await effective(edges, good=(FIRST,), bad=(SECOND,))
    new.write_text(f"{SECOND}\n", encoding="utf-8")
    await effective(edges, good=(FIRST, SECOND), bad=())
    await effective(edges, good=(SECOND,), bad=(FIRST,), after=ends)
    nothing_is_told(edges)


async def test_a_stored_secret_is_rotated_and_ended(
    start_process: Start, tmp_path: Path, database: str
) -> None:
    session, sealer = Session(database, name="operator"), Sealer([KEY])
    await secrets.add(
        session, sealer, FIRST.encode(), source=BEGINI, secret_id="a", validity=ALWAYS, within=WITHIN
    )
    edges = await two(start_process, tmp_path, '["stored"]')
    await effective(edges, good=(FIRST,), bad=(SECOND,))
    overlap = timedelta(seconds=6)
    ends = datetime.now(UTC) + overlap
    await secrets.rotate(
        session, sealer, SECOND.encode(), source=BEGINI, secret_id="b", overlap=overlap, within=WITHIN
    )
    await effective(edges, good=(FIRST, SECOND), bad=())
    await effective(edges, good=(SECOND,), bad=(FIRST,), after=ends)
    await secrets.expire(session, BEGINI, "b", at=None, within=WITHIN)
    await effective(edges, good=(), bad=(FIRST, SECOND))
    later = Validity(datetime.now(UTC) + timedelta(seconds=1))
    await secrets.add(
        session, sealer, FIRST.encode(), source=BEGINI, secret_id="c", validity=later, within=WITHIN
    )
    await effective(edges, good=(FIRST,), bad=(SECOND,))
    nothing_is_told(edges)
    await session.close()


@pytest.mark.parametrize(
    ("references", "says"),
    [
        ('["stored"]', "hookline sources secrets add begini"),
        ('["file:nowhere"]', "file:nowhere: can't be read: FileNotFoundError"),
        (
            '[{ ref = "env:BEGINI_API_KEY", valid_until = 2020-01-01T00:00:00Z }]',
            "add a secret that is still",
        ),
    ],
)
async def test_an_edge_without_a_secret_does_not_start_and_says_why(
    database: str, tmp_path: Path, references: str, says: str
) -> None:
    configure(tmp_path, references)
    environment = {
        "HOOKLINE_DATABASE_URL": database, "KEY_OF_THE_TEST": encode_key(KEY), "BEGINI_API_KEY": "x",
    }  # fmt: skip
    result = await hookline("edge", "--http", "127.0.0.1:0", cwd=tmp_path, environment=environment)
    assert result.returncode == 2
    assert result.stderr.startswith("hookline: sources.begini.secrets: ")
    assert says in result.stderr
