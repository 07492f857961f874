"""What one source may send: size, rate, concurrency, encodings."""

import asyncio
import gzip
import zlib
from random import Random
from typing import Any

import httpx
import pytest

from edge.ledger import rows
from edge.provider import PATH, Wire, body, sign, signed
from edge.running import BEGINI, edge

OTHER = "/v1/webhooks/other"
WAITING_WRITERS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE wait_event_type = 'Lock' AND application_name LIKE 'hookline edge writer%'
       AND datname = current_database()
"""


def zipped(content: bytes, encoding: str = "gzip") -> tuple[bytes, dict[str, str]]:
    wire = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    return wire, {**signed(wire), "Content-Encoding": encoding}


async def test_each_source_has_its_own_largest_body(database: str, foreign: Any) -> None:
    sources = {"begini": {**BEGINI, "max_body_bytes": 300}, "other": BEGINI}
    content = body("A", filling="x" * 300)
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        refused = await client.post(PATH, content=content, headers=signed(content))
        taken = await client.post(OTHER, content=content, headers=signed(content))
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert "300" in refused.json()["detail"]
    assert taken.status_code == 200
    assert await rows(foreign) == (1, 1)


async def test_beyond_its_rate_a_source_is_told_when_to_come_back_and_others_are_not(
    database: str, foreign: Any
) -> None:
    # A token in a thousand seconds: what is left in the bucket doesn't depend on how fast this test runs.
    sources = {"begini": {**BEGINI, "rate": 0.001, "burst": 3}, "other": BEGINI}
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        answers = []
        for uid in range(5):
            content = body(str(uid))
            answers.append(await client.post(PATH, content=content, headers=signed(content)))
        content = body("other")
        other = await client.post(OTHER, content=content, headers=signed(content))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json()["code"] == "too_many_requests"
    assert 900 <= int(answers[3].headers["retry-after"]) <= 1000
    assert other.status_code == 200
    assert await rows(foreign) == (4, 4)


async def test_beyond_its_concurrency_a_source_is_told_to_come_back_and_has_room_again(
    database: str, foreign: Any
) -> None:
    sources = {"begini": {**BEGINI, "concurrency": 1}, "other": BEGINI}
    first, second = body("A"), body("B")
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        async with foreign.transaction():
            # No commit gets through.
            await foreign.execute("LOCK TABLE hookline.events IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.create_task(client.post(PATH, content=first, headers=signed(first)))
            async with asyncio.timeout(10):
                while not await foreign.fetchval(WAITING_WRITERS):
                    await asyncio.sleep(0.01)
                    await foreign.execute("SELECT pg_stat_clear_snapshot()")
            busy = await client.post(PATH, content=second, headers=signed(second))
            forged = await client.post(PATH, content=second, headers=signed(first))
        assert (await waiting).status_code == 200
        again = await client.post(PATH, content=second, headers=signed(second))
        free = await client.post(OTHER, content=second, headers=signed(second))
    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (
        429,
        "too_many_requests",
        "1",
    )
    assert forged.status_code == 403
    assert (again.status_code, free.status_code) == (200, 200)


async def test_what_is_forged_uses_up_nothing_of_a_source_s_rate(database: str) -> None:
    sources = {"begini": {**BEGINI, "rate": 0.001, "burst": 1}}
    content = body("A")
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        forged = [await client.post(PATH, content=content, headers=signed(b"")) for _ in range(5)]
        genuine = await client.post(PATH, content=content, headers=signed(content))
    assert {answer.status_code for answer in forged} == {403}
    assert genuine.status_code == 200


async def test_large_bodies_share_their_room_and_small_ones_need_none(database: str) -> None:
    large = body("A", filling="x" * 700_000)
    head = [f"POST {PATH} HTTP/1.1", "Host: edge", f"Content-Length: {len(large)}"]
    head += [f"{name}: {value}" for name, value in signed(large).items()]
    request = "\r\n".join(head).encode() + b"\r\n\r\n" + large
    async with (
        edge(database, large_body_bytes=1024 * 1024) as address,
        Wire(address) as slow,
        httpx.AsyncClient(base_url=address) as client,
    ):
        await slow.write(request[:-1])
        other = body("B", filling="y" * 700_000)
        small = body("C", filling="z" * 40_000)
        async with asyncio.timeout(20):
            while True:  # until what the slow one has sent is seen
                async with Wire(address) as wire:
                    answer = await wire.send(other)
                if answer.status == 503:
                    break
        assert (answer.json["code"], answer.headers["retry-after"]) == ("busy", "2")
        taken = await client.post(PATH, content=small, headers=signed(small))
        assert taken.status_code == 200
        await slow.write(request[-1:])
        assert (await slow.read()).status == 200
        async with Wire(address) as wire:
            assert (await wire.send(other)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_an_allowed_encoding_is_verified_and_stored_as_it_came_and_read_without_it(
    database: str, foreign: Any, encoding: str
) -> None:
    sources = {"begini": {**BEGINI, "content_encodings": [encoding]}, "other": BEGINI}
    wire, headers = zipped(body("A", type_="application.complete"), encoding)
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        taken = await client.post(PATH, content=wire, headers=headers)
        refused = await client.post(OTHER, content=wire, headers=headers)
    assert taken.json()["status"] == "accepted"
    assert (refused.status_code, refused.json()["code"]) == (415, "content_encoding")
    row = await foreign.fetchrow("SELECT type, body, headers FROM hookline.outbox")
    assert (row["type"], row["body"]) == ("application.complete", wire)
    assert f'["content-encoding","{encoding}"]' in row["headers"]


async def test_the_signature_covers_the_wire_and_not_what_is_in_it(database: str, foreign: Any) -> None:
    sources = {"begini": {**BEGINI, "content_encodings": ["gzip"]}}
    content = body("A")
    wire, headers = zipped(content)
    headers["X-Signature"] = sign(content)
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        answer = await client.post(PATH, content=wire, headers=headers)
    assert answer.status_code == 403
    assert await rows(foreign) == (0, 0)


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (gzip.compress(b" " * 50_000_000), "more than"),
        (gzip.compress(gzip.compress(b" " * 50_000)), None),
        (gzip.compress(Random(1).randbytes(4000))[:2000], "one whole"),
        (gzip.compress(b"{}") + b"behind", "one whole"),
        (gzip.compress(b"{}") + gzip.compress(b"{}"), "one whole"),
        (b"no gzip at all", "isn't gzip"),
        (b"", "one whole"),
        (gzip.compress(b"{}")[:5], "one whole"),
    ],
    ids=[
        "bomb",
        "gzip in gzip",
        "cut off",
        "something behind",
        "two",
        "not gzip",
        "empty",
        "cut in the head",
    ],
)
async def test_a_signed_body_that_cannot_be_decoded_is_refused_or_opaque_and_never_large(
    database: str, foreign: Any, wire: bytes, says: str | None
) -> None:
    sources = {"begini": {**BEGINI, "content_encodings": ["gzip"]}}
    headers = {**signed(wire), "Content-Encoding": "gzip"}
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        answer = await client.post(PATH, content=wire, headers=headers)
    if says is None:  # decoded once it is small, and no JSON
        assert answer.json()["status"] == "accepted"
        assert await foreign.fetchval("SELECT type FROM hookline.outbox") == "unparsable"
    else:
        assert (answer.status_code, answer.json()["code"]) == (422, "undecodable_body")
        assert says in answer.json()["detail"]
        assert await rows(foreign) == (0, 0)


async def test_an_unsigned_bomb_is_never_decompressed(
    database: str, foreign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("what isn't verified was decompressed")

    monkeypatch.setattr("hookline.edge.judgement.decompress", never)
    sources = {"begini": {**BEGINI, "content_encodings": ["gzip"]}}
    wire = gzip.compress(b" " * 5_000_000)
    headers = {**signed(b"something else"), "Content-Encoding": "gzip"}
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        answer = await client.post(PATH, content=wire, headers=headers)
    assert answer.status_code == 403
    assert await rows(foreign) == (0, 0)
