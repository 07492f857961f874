"""Genuine and unreadable: stored as it is, never refused, never a crash."""

import json
from typing import Any

import pytest

from edge.ledger import rows
from edge.provider import Wire, body, send
from edge.running import BEGINI, edge

NEWEST = "SELECT type, body, revision, ordering_key FROM hookline.outbox ORDER BY seq DESC LIMIT 1"
ENVELOPE = '{"uid":%s,"integration_id":"5399505","event":{"type":%s}}'

UNPARSABLE = {
    "empty": b"",
    "not JSON": b"hello",
    "truncated": body("A")[:-1],
    "trailing garbage": body("A") + b"x",
    "no envelope": b"{}",
    "an array": b"[]",
    "null": b"null",
    "deep nesting": b"[" * 100_000,
    "deep nesting inside": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + body("A")[1:],
    "nul in uid": (ENVELOPE % (r'"A\u0000"', '"t"')).encode(),
    "nul in type": (ENVELOPE % ('"A"', r'"t\u0000"')).encode(),
    "lone surrogate in uid": (ENVELOPE % (r'"A\ud800"', '"t"')).encode(),
    "invalid UTF-8 in uid": (ENVELOPE % ('"A\xff"', '"t"')).encode("latin-1"),
    "uid is a fraction": (ENVELOPE % ("7.5", '"t"')).encode(),
    "uid has 100k digits": (ENVELOPE % ("7" * 100_000, '"t"')).encode(),
    "uid is null": (ENVELOPE % ("null", '"t"')).encode(),
    "uid is empty": (ENVELOPE % ('""', '"t"')).encode(),
    "uid is endless": (ENVELOPE % ('"' + "A" * 100_000 + '"', '"t"')).encode(),
    "UTF-16": body("A").decode().encode("utf-16"),
    "NaN": (ENVELOPE % ("NaN", '"t"')).encode(),
}

READABLE = {
    "byte order mark": (b"\xef\xbb\xbf" + body("A"), "application.complete"),
    "100k digits elsewhere": (body("A")[:-1] + b',"n":' + b"9" * 100_000 + b"}", "application.complete"),
    "huge exponent elsewhere": (body("A")[:-1] + b',"n":1e999999}', "application.complete"),
    "nul elsewhere": (body("A")[:-1] + rb',"n":"\u0000"}', "application.complete"),
    "invalid UTF-8 elsewhere": (body("A")[:-1] + b',"n":"\xff\xfe"}', "application.complete"),
    "lone surrogate elsewhere": (body("A")[:-1] + rb',"n":"\ud800"}', "application.complete"),
    "a uid with hyphens": (body("1b4e28ba-2fa1-11d2-883f-0016d3cca427"), "application.complete"),
    "not ASCII": (body("Zoë", type_="Bewertung.fertig.✓"), "Bewertung.fertig.✓"),
    "an unknown type": (body("A", type_="brand.new"), "brand.new"),
    "duplicate keys: the last counts": (
        b'{"uid":"X","uid":"A","integration_id":"1","event":{"type":"first","type":"last"}}',
        "last",
    ),
}


async def test_it_is_stored_byte_for_byte_and_answered_200(
    address: str, foreign: Any, subtests: pytest.Subtests
) -> None:
    for number, (name, content) in enumerate(UNPARSABLE.items(), start=1):
        with subtests.test(name):
            first, again = await send(address, content), await send(address, content)
            assert (first.status, first.json["status"]) == (200, "accepted")
            assert (again.status, again.json["status"]) == (200, "duplicate")
            assert again.json["event_id"] == first.json["event_id"]
            row = await foreign.fetchrow(NEWEST)
            assert tuple(row) == ("unparsable", content, False, "")
            assert await rows(foreign) == (number, number)


async def test_what_surrounds_the_keys_is_not_judged(
    database: str, foreign: Any, subtests: pytest.Subtests
) -> None:
    # A source for each, so that the same applicant may come again.
    sources = {f"s{number}": BEGINI for number in range(len(READABLE))}
    async with edge(database, sources=sources) as address, Wire(address) as wire:
        for number, (name, (content, type_)) in enumerate(READABLE.items()):
            with subtests.test(name):
                answer = await wire.send(content, path=f"/v1/webhooks/s{number}")
                assert (answer.status, answer.json["status"]) == (200, "accepted")
                stored_type, stored, _, ordering_key = await foreign.fetchrow(NEWEST)
                assert (stored_type, stored) == (type_, content)
                assert ordering_key != ""
                assert await rows(foreign) == (number + 1, number + 1)


async def test_two_unreadable_bodies_are_two_events_and_no_revisions(address: str, foreign: Any) -> None:
    answers = [await send(address, content) for content in (b"one", b"two")]
    assert [answer.json["revision"] for answer in answers] == [False, False]
    assert await rows(foreign) == (2, 2)


async def test_an_event_that_calls_itself_unparsable_is_none(address: str, foreign: Any) -> None:
    # A provider's own type of that name must not collide with the opaque events' keys.
    content = body("A", type_="unparsable")
    await send(address, content)
    await send(address, b"junk")
    keys = await foreign.fetch("SELECT ordering_key FROM hookline.events")
    assert sorted(row[0] == "" for row in keys) == [False, True]
    assert json.loads(content)["event"]["type"] == "unparsable"
