"""What the edge traces of requests that aren't the usual webhook, as a real collector receives it."""

import asyncio
from time import time_ns
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from edge.provider import KEY, sign
from edge.running import edge
from path.rig.collector import PROTOCOLS, Collector, Protocol, ids, links, states, told
from path.rig.database import connect, until_waiting_for_lock
from path.rig.wait import until
from path.rig.webhooks import body

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
MALFORMED = (
    "",
    "nonsense",
    f"00-{TRACE}-{SPAN}",
    f"00-{TRACE}-{SPAN}-01-more",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01" * 100,
    "\xff\xfe",
)
FUTURE = f"01-{TRACE}-{SPAN}-09-what-nobody-knows-yet"
ERROR = 2


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEGINI_API_KEY", KEY)
    monkeypatch.setenv("BEGINI_OLD_API_KEY", "")


SOURCE = {"begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]}}


def serving(database: str, telemetry: dict[str, Any], **settings: Any) -> Any:
    return edge(database, sources=SOURCE, beside={"telemetry": telemetry}, **settings)


def webhook() -> tuple[bytes, list[tuple[bytes, bytes]]]:
    content = body()
    return content, [(b"content-type", b"application/json"), (b"x-signature", sign(content).encode())]


async def post(client: httpx.AsyncClient, *headers: tuple[bytes, bytes]) -> int:
    content, usual = webhook()
    answer = await client.post("/v1/webhooks/begini", content=content, headers=[*usual, *headers])
    return answer.status_code


async def test_a_handshake_or_an_unknown_method_is_named_as_the_conventions_say(database: str) -> None:
    async with Collector() as collector:
        async with (
            serving(database, collector.settings("http/protobuf")) as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
        ):
            for method in ("GET", "OPTIONS", "PROPFIND"):
                assert (await client.request(method, "/v1/webhooks/begini")).status_code == 405
            assert (await client.get("/v1/webhooks/CANARY")).status_code == 404
            assert await post(client) == 200
        spans = [span for *_, span in collector.spans if span.kind == 2]
    names = [
        (span.name, told(span)["http.request.method"], told(span).get("http.request.method_original"))
        for span in spans
    ]
    assert names == [
        ("GET /v1/webhooks/{source}", "GET", None),
        ("OPTIONS /v1/webhooks/{source}", "OPTIONS", None),
        ("HTTP /v1/webhooks/{source}", "_OTHER", "PROPFIND"),
        ("GET /v1/webhooks/{source}", "GET", None),
        ("POST /v1/webhooks/{source}", "POST", None),
    ]
    sources = [(told(span)["hookline.source"], told(span).get("url.path")) for span in spans]
    begini = ("begini", "/v1/webhooks/begini")
    assert sources == [begini, begini, begini, ("unknown", None), begini]
    assert "CANARY" not in str(collector.spans)
    # A refusal is the sender's mistake and no error of this server's.
    assert [(told(span)["http.response.status_code"], span.status.code) for span in spans] == [
        *[(405, 0)] * 3,
        (404, 0),
        (200, 0),
    ]


async def test_a_malformed_context_is_harmless_and_leaves_no_link(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Collector() as collector:
        async with (
            serving(database, collector.settings("grpc")) as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
        ):
            for wrong in MALFORMED:
                assert await post(client, (b"traceparent", wrong.encode("latin-1"))) == 200
            for twice in ((b"traceparent", GOOD.encode()),) * 2, ((b"tracestate", b"vendor=alone"),):
                assert await post(client, *twice) == 200
            wrong_states = (b"CANARY of the sender", b"a=1,a=2", b"b=" + b"x" * 600, b"\xff=1", b"k=1," * 40)
            for state in wrong_states:
                assert await post(client, (b"traceparent", GOOD.encode()), (b"tracestate", state)) == 200
            two = ((b"tracestate", b"a=1"), (b"tracestate", b"b@c=2 , ,z=3"))
            assert await post(client, (b"traceparent", FUTURE.encode()), *two) == 200
        spans = [span for *_, span in collector.spans if span.kind == 2]
    unlinked = len(MALFORMED) + 2
    assert len(spans) == unlinked + len(wrong_states) + 1
    assert [links(span) for span in spans] == [[]] * unlinked + [[ids(GOOD)]] * (len(wrong_states) + 1)
    assert [states(span) for span in spans[unlinked:]] == [[""]] * len(wrong_states) + [["a=1,b@c=2,z=3"]]
    assert all(span.parent_span_id == b"" and span.trace_id.hex() != TRACE for span in spans)
    assert "CANARY" not in str(collector.spans)
    assert "CANARY" not in caplog.text, "OpenTelemetry's reader would quote it"


async def test_requests_that_share_a_transaction_are_linked_to_its_span(database: str) -> None:
    async with Collector() as collector, connect(database) as foreign:
        async with (
            serving(database, collector.settings("grpc"), writers=1) as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
        ):
            async with foreign.transaction():
                await foreign.execute("LOCK TABLE hookline.events IN EXCLUSIVE MODE")
                posting = [asyncio.create_task(post(client)) for _ in range(6)]
                await until_waiting_for_lock(database, "hookline edge writer 0")
            assert await asyncio.gather(*posting) == [200] * 6
        batches = collector.named("commit batch")
        persists = collector.named("persist")
    assert len(persists) == sum(told(batch)["messaging.batch.message_count"] for batch in batches) == 6
    for batch in batches:
        linked = [span for span in persists if f"{batch.trace_id.hex()}-{batch.span_id.hex()}" in links(span)]
        assert len(linked) == told(batch)["messaging.batch.message_count"]
        assert (batch.parent_span_id, list(batch.links)) == (b"", [])
    assert all(len(span.links) == 1 for span in persists)
    assert len({span.trace_id for span in (*persists, *batches)}) == 6 + len(batches)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_failure_of_ours_is_recorded_though_the_request_is_not_sampled(
    database: str, protocol: Protocol
) -> None:
    async with Collector() as collector, connect(database) as foreign:
        telemetry = collector.settings(protocol, sample_ratio=0)
        async with (
            serving(database, telemetry, commit_deadline="300ms", request_deadline="600ms") as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
        ):
            assert await post(client, (b"traceparent", GOOD.encode())) == 200
            assert (await client.get("/v1/webhooks/begini")).status_code == 405
            async with foreign.transaction():
                await foreign.execute("LOCK TABLE hookline.events IN EXCLUSIVE MODE")
                began = time_ns()
                assert await post(client, (b"traceparent", GOOD.encode())) == 503
                ended = time_ns()
            await leave_in_the_middle(address)
            await until(lambda: len(collector.spans) == 2, "both failures are exported")
    failed, abandoned = [span for *_, span in collector.spans]
    assert failed.name == abandoned.name == "POST /v1/webhooks/{source}"
    assert began <= failed.start_time_unix_nano <= began + 4e8
    assert 5e8 <= failed.end_time_unix_nano - failed.start_time_unix_nano <= ended - began
    linked = links(failed)
    assert linked[0] == ids(GOOD)
    assert len(linked) == 2, "the sender's context, and the one that the event would have carried"
    seen = told(failed)
    assert (seen["http.response.status_code"], seen["error.type"], seen["hookline.outcome"]) == (
        503,
        "503",
        "commit_timeout",
    )
    assert len(seen["messaging.message.id"]) == 36
    assert (told(abandoned)["error.type"], told(abandoned)["hookline.outcome"]) == (
        "client_disconnected",
        "abandoned",
    )
    assert "http.response.status_code" not in told(abandoned)
    assert [span.status.code for span in (failed, abandoned)] == [ERROR, ERROR]
    assert len(links(abandoned)) == 1


async def test_a_failed_commit_marks_its_spans_and_says_no_more_than_the_kind_of_error(database: str) -> None:
    async with Collector() as collector, connect(database) as foreign:
        async with (
            serving(database, collector.settings("grpc"), commit_deadline="300ms") as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
            foreign.transaction(),
        ):
            await foreign.execute("LOCK TABLE hookline.events IN EXCLUSIVE MODE")
            assert await post(client) == 503
        [server] = collector.named("POST /v1/webhooks/{source}")
        [persist] = collector.named("persist")
        [create] = collector.named("create begini")
        batches = collector.named("commit batch")
    assert [told(span)["error.type"] for span in (server, persist)] == ["503", "IntakeUnavailable"]
    assert {told(batch)["error.type"] for batch in batches} == {"DatabaseUnavailable"}
    spans = [server, persist, create, *batches]
    assert {span.status.code for span in spans} == {ERROR}
    assert {span.status.message for span in spans} == {""}
    assert links(persist) == [f"{batch.trace_id.hex()}-{batch.span_id.hex()}" for batch in batches]


async def leave_in_the_middle(address: str) -> None:
    """Send half a webhook and hang up."""
    content, headers = webhook()
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = [b"POST /v1/webhooks/begini HTTP/1.1", b"host: edge", b"content-length: %d" % len(content)]
    head += [name + b": " + value for name, value in headers]
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + content[: len(content) // 2])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader
