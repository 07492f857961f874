"""The simulated provider against real HTTP: an endpoint like the edge, until it is told to misbehave."""

import asyncio
import hashlib
import hmac
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
from typer.testing import CliRunner, Result

from hookline.cli.send import send_app
from hookline.simulator.answer import Answer
from hookline.simulator.pace import Pace
from hookline.simulator.patience import Patience
from hookline.simulator.plan import Kind, Mix, Plan, draw_plan
from hookline.simulator.provider import Provider
from hookline.simulator.reply import Reply, read
from hookline.simulator.signature import Signer
from hookline.simulator.tally import Tally

KEY = "made-up-key"
MIX = Mix(duplicates=0.3, late=0.2, revisions=0.5, forged=0.3)


@dataclass(frozen=True)
class Request:
    signature: str
    body: bytes
    gone: Callable[[], Awaitable[bytes]]  # returns when the client has hung up


Response = bytes | None  # None: hang up without a word
Fault = Callable[["Endpoint", Request], Awaitable[Response]]


@dataclass
class Endpoint:
    """Answers as Hookline's edge does; each fault takes the place of one answer."""

    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    url: str = ""
    received: list[bytes] = field(default_factory=list)
    versions: defaultdict[tuple[str, str], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            _, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)
            }
            assert headers["content-type"] == "application/json"
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(body)
            fault = self.faults.popleft() if self.faults else self.always or Endpoint.edge
            response = await fault(self, Request(headers["x-signature"], body, reader.read))
            if response is not None:
                writer.write(response)
                await writer.drain()
        finally:
            writer.close()

    async def edge(self, request: Request) -> Response:
        if request.signature != hmac.new(KEY.encode(), request.body, hashlib.sha512).hexdigest():
            return answer(403, b'{"detail":"Validation Failure"}')
        document = json.loads(request.body)
        versions = self.versions[document["uid"], document["event"]["type"]]
        status, revision = "duplicate", False
        if request.body not in versions:
            status, revision = "accepted", bool(versions)
            versions.append(request.body)
        return verdict(request.body, status, revision=revision)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def verdict(body: bytes, status: str, *, revision: bool = False) -> bytes:
    event_id = uuid5(NAMESPACE_URL, hashlib.sha256(body).hexdigest())
    document = {"status": status, "event_id": str(event_id), "revision": revision}
    return answer(200, json.dumps(document).encode())


def saying(status: int, body: bytes, *headers: str) -> Fault:
    async def fault(_: Endpoint, __: Request) -> Response:
        return answer(status, body, *headers)

    return fault


async def hang_up(_: Endpoint, __: Request) -> Response:
    return None


async def commit_and_hang_up(endpoint: Endpoint, request: Request) -> Response:
    await endpoint.edge(request)
    return None


async def never_answer(_: Endpoint, request: Request) -> Response:
    await request.gone()
    return None


@asynccontextmanager
async def listening(*faults: Fault, always: Fault | None = None) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(deque(faults), always)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = "http://{}:{}/v1/webhooks/begini".format(*server.sockets[0].getsockname())
    async with server:
        yield endpoint
        await asyncio.gather(*endpoint.connections)


def plan_of(mix: Mix = MIX, *, journey_count: int = 20, seed: int = 1, key: str = KEY) -> Plan:
    return draw_plan(journey_count=journey_count, mix=mix, signer=Signer(key), seed=seed)


def one(kind: Kind = Kind.NEW) -> Plan:
    return next((item,) for item in plan_of() if item.kind is kind)


@dataclass
class Run:
    """A provider with time in the test's hands: waits are noted and over at once."""

    endpoint: Endpoint
    patience: Patience = field(default_factory=lambda: Patience(attempts=3, timeout=timedelta(seconds=30)))
    concurrency: int = 8
    waits: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    retried: list[Reply] = field(default_factory=list)

    async def play(self, plan: Plan) -> Tally:
        async def note(seconds: float) -> None:
            self.waits.append(seconds)

        provider = Provider(
            url=self.endpoint.url, patience=self.patience, concurrency=self.concurrency, sleep=note
        )
        return await provider.play(plan, report=self.answers.append, retrying=self.retried.append)


async def test_a_run_against_an_edge_that_keeps_its_promises() -> None:
    plan = plan_of()
    kinds = Counter(item.kind for item in plan)
    async with listening() as endpoint:
        run = Run(endpoint)
        tally = await run.play(plan)
    assert tally.differences == ()
    assert tally.as_planned
    assert tally.sent == len(plan) == len(run.answers) == len(endpoint.received)
    assert tally.accepted == kinds[Kind.NEW] + kinds[Kind.REVISION] == len(tally.event_ids)
    assert tally.revisions == kinds[Kind.REVISION] > 0
    assert tally.duplicate == kinds[Kind.DUPLICATE] + kinds[Kind.LATE]
    assert tally.refused == kinds[Kind.FORGED] > 0
    assert tally.failed == 0
    assert {answer.item for answer in run.answers} == set(plan)
    assert {answer.attempts for answer in run.answers} == {1}
    assert not run.waits
    assert not run.retried


@pytest.mark.parametrize(
    ("fault", "status", "problem"),
    [
        (saying(503, b"{}", "Retry-After: 1"), "accepted", "HTTP 503"),
        (saying(429, b"{}"), "accepted", "HTTP 429"),
        (saying(404, b"{}"), "accepted", "HTTP 404"),
        (saying(403, b"{}"), "accepted", "HTTP 403"),
        (saying(302, b"", "Location: /elsewhere"), "accepted", "HTTP 302"),
        (saying(201, b"{}"), "accepted", "HTTP 201"),
        (saying(204, b""), "accepted", "HTTP 204"),
        (saying(200, b""), "accepted", "HTTP 200 without a valid JSON body"),
        (saying(200, b"thank you"), "accepted", "HTTP 200 without a valid JSON body"),
        (saying(200, b'"\xff"'), "accepted", "HTTP 200 without a valid JSON body"),
        (saying(200, b"[" * 100_000), "accepted", "HTTP 200 without a valid JSON body"),
        (saying(200, b"no gzip", "Content-Encoding: gzip"), "accepted", "no answer (DecodingError)"),
        (hang_up, "accepted", "no answer (RemoteProtocolError)"),
        (commit_and_hang_up, "duplicate", "no answer (RemoteProtocolError)"),
    ],
)
async def test_whatever_is_not_a_200_with_json_is_sent_again(fault: Fault, status: str, problem: str) -> None:
    plan = one()
    async with listening(fault) as endpoint:
        run = Run(endpoint)
        tally = await run.play(plan)
    assert tally.differences == ()
    assert [(answer.status, answer.attempts) for answer in run.answers] == [(status, 2)]
    assert [reply.problem for reply in run.retried] == [problem]
    assert endpoint.received == [plan[0].body] * 2
    assert len(tally.event_ids) == 1


async def test_no_answer_in_time_is_sent_again() -> None:
    async with listening(never_answer) as endpoint:
        run = Run(endpoint, Patience(attempts=2, timeout=timedelta(milliseconds=200)))
        tally = await run.play(one())
    assert tally.differences == ()
    assert [reply.problem for reply in run.retried] == ["no answer within 0.2 s"]
    assert run.answers[0].elapsed >= timedelta(milliseconds=200)


async def test_nobody_listening_is_a_failure_and_not_an_error() -> None:
    async with listening() as endpoint:
        pass
    run = Run(endpoint)
    tally = await run.play(one())
    assert (tally.sent, tally.failed, tally.event_ids) == (1, 1, frozenset())
    ending = "not taken, ended with no answer (ConnectError) after 3 attempts"
    assert tally.differences == (f"journey 1, application.complete (new): {ending}",)


async def test_waits_grow_and_honour_retry_after_up_to_a_limit() -> None:
    busy = [saying(503, b"{}", *headers) for headers in ([], [], ["Retry-After: 7"], ["Retry-After: 99999"])]
    patience = Patience(
        attempts=5, first_wait=timedelta(milliseconds=100), longest_wait=timedelta(seconds=20)
    )
    async with listening(*busy) as endpoint:
        run = Run(endpoint, patience)
        tally = await run.play(one())
    assert tally.as_planned
    for wait, least in zip(run.waits, (0.1, 0.2, 7, 20), strict=True):
        assert least <= wait <= least + 0.1  # the jitter is at most the first wait


async def test_attempts_are_bounded() -> None:
    async with listening(always=saying(500, b"{}")) as endpoint:
        run = Run(endpoint)
        tally = await run.play(one())
    assert len(endpoint.received) == run.answers[0].attempts == 3
    assert (tally.failed, tally.refused, tally.accepted) == (1, 0, 0)
    assert "ended with HTTP 500 after 3 attempts" in tally.differences[0]


async def test_a_forged_webhook_is_refused_once_but_retried_while_the_endpoint_is_down() -> None:
    async with listening() as endpoint:
        run = Run(endpoint)
        assert (await run.play(one(Kind.FORGED))).as_planned
        assert [answer.attempts for answer in run.answers] == [1]
    async with listening(hang_up) as endpoint:
        run = Run(endpoint)
        tally = await run.play(one(Kind.FORGED))
        assert tally.as_planned
        assert (tally.refused, run.answers[0].attempts) == (1, 2)


async def test_with_another_key_every_genuine_webhook_is_refused_and_said_so() -> None:
    async with listening() as endpoint:
        tally = await Run(endpoint).play(plan_of(Mix(), key="another", journey_count=1))
    assert tally.refused == tally.sent == len(tally.differences)
    assert tally.differences[0].endswith(
        "not taken, ended with HTTP 403 after 3 attempts; is this the API key that the endpoint knows?"
    )


async def test_events_of_a_journey_go_in_order_while_journeys_go_together() -> None:
    plan = plan_of(Mix(), journey_count=12)
    together = asyncio.Barrier(4)
    at_once: list[int] = []
    open_requests = 0

    async def all_four(endpoint: Endpoint, request: Request) -> Response:
        nonlocal open_requests
        open_requests += 1
        at_once.append(open_requests)
        if len(endpoint.received) <= 4:
            await together.wait()  # would hang if the journeys weren't sent side by side
        open_requests -= 1
        return await endpoint.edge(request)

    async with listening(always=all_four) as endpoint:
        tally = await Run(endpoint, concurrency=4).play(plan)
    assert tally.as_planned
    assert max(at_once) == 4
    for journey in range(1, 13):
        bodies = [item.body for item in plan if item.journey == journey]
        assert [body for body in endpoint.received if body in bodies] == bodies


async def test_a_duplicate_is_sent_at_the_same_moment_as_its_twin() -> None:
    twins = asyncio.Barrier(2)

    async def both(endpoint: Endpoint, request: Request) -> Response:
        await twins.wait()  # would hang if one waited for the other's end
        return await endpoint.edge(request)

    plan = plan_of(Mix(duplicates=1), journey_count=3)
    async with listening(always=both) as endpoint:
        tally = await Run(endpoint, concurrency=1).play(plan)
    assert tally.as_planned
    assert tally.accepted == tally.duplicate == len(plan) // 2


async def _forgetful(_: Endpoint, request: Request) -> Response:
    return verdict(request.body, "accepted")


async def _blind(endpoint: Endpoint, request: Request) -> Response:
    signature = hmac.new(KEY.encode(), request.body, hashlib.sha512).hexdigest()
    return await endpoint.edge(Request(signature, request.body, request.gone))


async def _confused(endpoint: Endpoint, request: Request) -> Response:
    await endpoint.edge(request)
    return verdict(b"always the same event", "accepted")


async def _already_full(_: Endpoint, request: Request) -> Response:
    return verdict(request.body, "duplicate")


@pytest.mark.parametrize(
    ("edge", "mix", "difference"),
    [
        (_forgetful, Mix(duplicates=0.1), "accepted 2 times, though the same bytes are one event"),
        (_forgetful, Mix(late=0.1), "accepted 2 times, though the same bytes are one event"),
        (_forgetful, Mix(revisions=0.1), "(revision): not marked as a revision"),
        (
            _blind,
            Mix(forged=0.1),
            "(forged): not refused with HTTP 403, but ended with HTTP 200 'accepted' after",
        ),
        (_confused, Mix(), "stands for"),
        (_already_full, Mix(), "a duplicate when first sent; did this endpoint get this seed before?"),
        (
            saying(200, b"{}"),
            Mix(),
            "not taken, ended with HTTP 200 without 'accepted' or 'duplicate' after 1 attempt",
        ),
    ],
)
async def test_an_edge_that_breaks_a_promise_is_told_on(edge: Fault, mix: Mix, difference: str) -> None:
    plan = plan_of(mix)
    async with listening(always=edge) as endpoint:
        tally = await Run(endpoint).play(plan)
    assert not tally.as_planned
    told = "\n".join(tally.differences)
    assert difference in told
    assert not any(item.uid in told for item in plan)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("Wed, 15 Apr 2026 00:01:00 GMT", 60),
        ("Tue, 14 Apr 2026 00:00:00 GMT", 0),
        ("Wed, 15 Apr 2026 00:01:00", None),
        ("9" * 30, None),
        ("-1", None),
        ("soon", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    response = httpx.Response(503, headers=[(b"Retry-After", value.encode("latin-1"))])
    reply = read(response, now=datetime(2026, 4, 15, tzinfo=UTC))
    assert reply.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_the_pace_spreads_evenly_and_never_catches_up() -> None:
    now = 100.0
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(4, clock=lambda: now, sleep=note)
    for _ in range(3):
        await pace.turn()
    assert waits == [0.25, 0.5]
    now = 200.0
    await pace.turn()
    await pace.turn()
    assert waits == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Provider(url="ftp://example.com"), "begin with http:// or https://"),
        (lambda: Provider(url="/v1/webhooks/begini"), "begin with http:// or https://"),
        (lambda: Provider(url="http://example.com:port/"), "the URL can't be used"),
        (lambda: Provider(url="http://example.com", header="X Signature"), "isn't a header name"),
        (lambda: Provider(url="http://example.com", concurrency=0), "at least one journey"),
        (lambda: Provider(url="http://example.com", rate=0), "above zero"),
        (lambda: Provider(url="http://example.com", rate=float("nan")), "above zero"),
        (lambda: Patience(attempts=0), "at least one attempt"),
        (lambda: Patience(timeout=timedelta()), "above zero"),
    ],
)
def test_settings_that_can_not_work_are_refused_at_once(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


async def invoke(*arguments: str, key: str | None = KEY) -> Result:
    environment = {"BEGINI_API_KEY": key, "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, send_app, ["begini", *arguments], env=environment)


async def test_the_command_sends_and_prints_a_table() -> None:
    async with listening() as endpoint:
        result = await invoke("--url", endpoint.url, "--journeys", "10", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert f"{len(endpoint.received)} webhooks in" in result.stdout
    assert "seed 3" in result.stdout
    for outcome in ("accepted", "of these revisions", "duplicate", "refused", "failed"):
        assert outcome in result.stdout
    assert result.stderr == ""
    assert KEY not in result.output
    assert not any(json.loads(body)["uid"] in result.output for body in endpoint.received)


async def test_the_command_fails_with_the_differences() -> None:
    async with listening(always=_forgetful) as endpoint:
        result = await invoke("--url", endpoint.url, "--journeys", "100", "--duplicates", "1", "--seed", "3")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("... and ")
    assert len(lines) == 21
    assert "accepted 2 times" in result.stderr
    assert KEY not in result.output


@pytest.mark.parametrize("key", [None, ""])
async def test_without_a_key_the_command_says_how_to_set_it(key: str | None) -> None:
    result = await invoke(key=key)
    assert result.exit_code == 2
    assert "export BEGINI_API_KEY=" in result.output


async def test_a_setting_that_can_not_work_is_a_usage_error() -> None:
    result = await invoke("--url", "ftp://example.com")
    assert result.exit_code == 2
    assert "http:// or https://" in result.output
    assert KEY not in result.output
