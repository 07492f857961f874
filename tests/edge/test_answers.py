"""What a provider is told, over real HTTP."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from edge.ledger import rows
from edge.provider import KEY, OLD_KEY, PATH, Wire, body, send, sign, signed
from edge.running import BEGINI, edge

PROBLEM = "application/problem+json"


async def post(address: str, content: bytes, headers: dict[str, str], path: str = PATH) -> httpx.Response:
    async with httpx.AsyncClient(base_url=address) as client:
        return await client.post(path, content=content, headers=headers)


async def test_accepted_then_duplicate_then_revision(address: str, foreign: Any) -> None:
    first, rescored = body("A"), body("A", score=7)
    answers = [await send(address, content) for content in (first, first, rescored, rescored)]
    assert [answer.status for answer in answers] == [200] * 4
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    ledger = await foreign.fetch("SELECT id::text, revision FROM hookline.events ORDER BY seq")
    (original, _), (revision, _) = ledger
    assert [row["revision"] for row in ledger] == [False, True]
    assert [answer.body.decode() for answer in answers] == [
        f'{{"status":"accepted","event_id":"{original}","revision":false}}',
        f'{{"status":"duplicate","event_id":"{original}"}}',
        f'{{"status":"accepted","event_id":"{revision}","revision":true}}',
        f'{{"status":"duplicate","event_id":"{revision}"}}',
    ]
    assert await rows(foreign) == (2, 2)


async def test_a_forged_signature_is_refused_as_begini_expects(address: str, foreign: Any) -> None:
    content = body("A")
    for forged in (
        signed(content, "wrong-key"),
        {"Content-Type": "application/json"},
        {"Content-Type": "application/json", "X-Signature": ""},
        {"Content-Type": "application/json", "X-Signature": sign(content, algorithm="sha256")},
        {"Content-Type": "application/json", "X-Begini-Signature": sign(content)},
    ):
        answer = await post(address, content, forged)
        assert (answer.status_code, answer.content) == (403, b'{"detail":"Validation Failure"}')
        assert answer.headers["content-type"] == "application/json"
    assert await rows(foreign) == (0, 0)


async def test_every_live_key_verifies_and_a_key_that_was_taken_away_does_not(
    address: str, foreign: Any
) -> None:
    for number, key in enumerate((KEY, OLD_KEY)):
        content = body(f"u{number}")
        assert (await post(address, content, signed(content, key))).status_code == 200
    content = body("u9")
    assert (await post(address, content, signed(content, "retired"))).status_code == 403
    assert await rows(foreign) == (2, 2)


async def test_header_and_algorithm_can_be_those_of_older_pages(database: str, foreign: Any) -> None:
    sources = {"begini": BEGINI, "older": {**BEGINI, "scheme": "begini-march-2026"}}
    older_scheme = {
        "extends": "begini",
        "signatures": [{"algorithm": "hmac-sha256", "at": "header:X-Begini-Signature"}],
    }
    content = body("A")
    older = {"Content-Type": "application/json", "X-Begini-Signature": sign(content, algorithm="sha256")}
    beside = {"schemes": {"begini-march-2026": older_scheme}}
    async with edge(database, sources=sources, beside=beside) as address:
        assert (await post(address, content, older, "/v1/webhooks/older")).status_code == 200
        assert (await post(address, content, older)).status_code == 403
        assert (await post(address, content, signed(content), "/v1/webhooks/older")).status_code == 403
        # The same webhook at two sources is two events.
        second = await post(address, content, signed(content))
    assert second.json()["status"] == "accepted"
    assert await rows(foreign) == (2, 2)


async def test_an_unknown_source_is_404_and_tells_where_to_send(address: str) -> None:
    content = body("A")
    answer = await post(address, content, signed(content), "/v1/webhooks/nobody")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["code"] == "unknown_source"
    assert "nobody" not in answer.text


async def test_other_methods_are_405_and_name_the_right_one(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await client.request(method, PATH)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert answer.json()["code"] == "method_not_allowed"


async def test_what_is_not_plain_json_is_415(address: str, foreign: Any, subtests: pytest.Subtests) -> None:
    content = body("A")
    for headers, code in (
        ({"Content-Type": "text/plain"}, "wrong_content_type"),
        ({"Content-Type": "application/jsonp"}, "wrong_content_type"),
        ({"Content-Type": ""}, "wrong_content_type"),
        ({}, "wrong_content_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "content_encoding"),
    ):
        with subtests.test(code, headers=headers):
            answer = await post(address, content, {"X-Signature": sign(content), **headers})
            assert (answer.status_code, answer.headers["content-type"]) == (415, PROBLEM)
            assert answer.json()["code"] == code
    assert await rows(foreign) == (0, 0)


async def test_json_by_another_spelling_is_json(address: str) -> None:
    for number, spelling in enumerate(
        ("application/json; charset=utf-8", "Application/JSON", "application/json ;x=y")
    ):
        content = body(f"u{number}")
        answer = await post(address, content, {**signed(content), "Content-Type": spelling})
        assert answer.status_code == 200


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_413(database: str, foreign: Any) -> None:
    limit = 2_000
    at_limit = body("A").ljust(limit)
    async with edge(database, max_body_bytes=limit) as address:
        assert (await send(address, at_limit)).status == 200
        answer = await send(address, at_limit + b" ")
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    assert await rows(foreign) == (1, 1)


async def test_a_length_over_the_limit_is_413_before_the_body_is_sent(address: str) -> None:
    async with Wire(address) as wire:
        await wire.write(
            b"POST %b HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (PATH.encode(), 1024 * 1024 + 1)
        )
        answer = await wire.read()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await wire.ended()


async def test_chunks_without_a_length_are_413_once_they_pass_the_limit(database: str, foreign: Any) -> None:
    async with edge(database, max_body_bytes=2_000) as address, Wire(address) as wire:
        await wire.write(
            b"POST %b HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            % PATH.encode()
        )
        for _ in range(3):
            await wire.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        answer = await wire.read()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert await rows(foreign) == (0, 0)


async def test_chunks_within_the_limit_are_one_body(address: str, foreign: Any) -> None:
    content = body("A")
    async with Wire(address) as wire:
        await wire.write(
            f"POST {PATH} HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nX-Signature: {sign(content)}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for byte in content:
            await wire.write(b"1\r\n%c\r\n" % byte)
        await wire.write(b"0\r\n\r\n")
        assert (await wire.read()).status == 200
    assert await foreign.fetchval("SELECT body FROM hookline.outbox") == content


async def test_a_slow_body_is_408(database: str, foreign: Any) -> None:
    content = body("A")
    async with edge(database, request_deadline="300ms") as address, Wire(address) as wire:
        await wire.write(
            f"POST {PATH} HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\n"
            f"X-Signature: {sign(content)}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content[:-1]
        )
        answer = await wire.read()
    assert (answer.status, answer.json["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert await rows(foreign) == (0, 0)


async def test_a_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing(
    address: str, foreign: Any
) -> None:
    async with Wire(address) as wire:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        await wire.write(head.encode() + b"{")
    assert (await send(address, body("B"))).status == 200
    assert await rows(foreign) == (1, 1)


async def test_many_webhooks_over_one_connection(address: str, foreign: Any) -> None:
    async with Wire(address) as wire:
        statuses = [(await wire.send(body(f"u{number}"))).status for number in range(50)]
    assert statuses == [200] * 50
    assert await rows(foreign) == (50, 50)


async def test_headers_are_kept_without_credentials_and_connection_matters(
    address: str, foreign: Any
) -> None:

    content = body("A")
    headers = {
        **signed(content),
        "User-Agent": "begini-webhooks",
        "X-Custom": "value",
        "Authorization": "Bearer canary",
        "Cookie": "canary=1",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Baggage": "canary=1",
    }
    assert (await post(address, content, headers)).status_code == 200
    stored = json.loads(await foreign.fetchval("SELECT headers::text FROM hookline.outbox"))
    names = [name for name, _ in stored]
    assert {"content-type", "x-signature", "user-agent", "x-custom"} <= set(names)
    assert not {"authorization", "cookie", "traceparent", "baggage", "host", "content-length"} & set(names)
    assert "canary" not in str(stored)
    # The event's context is its own: what a stranger sent is not continued.
    assert "0af7651916cd43dd8448eb211c80319c" not in await foreign.fetchval(
        "SELECT traceparent FROM hookline.outbox"
    )


async def test_alive_and_ready(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        alive, ready = await asyncio.gather(client.get("/healthz"), client.get("/readyz"))
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
