"""Push from the log to a called consumer and back, through a whole relay."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from hookline.client import Delivery, Reject
from hookline.client.push import PushServer
from hookline.v1 import delivery_pb2 as pb
from hookline.v1.consumer_pb2 import DeliverRequest, DeliverResponse
from path.rig.database import connect, cursors
from path.rig.events import append, append_many, event
from path.rig.process import free_port
from path.rig.relay import Relay
from path.rig.wait import until
from relay import push_consumer
from relay.certificates import Authority
from relay.push_consumer import PushedTo, ack_all
from relay.test_push import is_open, never
from relay.test_push_tls import HOST, serves_as

SOON = {"wait": "fixed", "delay": "100ms", "max_attempts": 3}


def pushed_to(port: int, *, call: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """The subscription `all`, pushed there."""
    return {
        "all": {
            "start": "earliest",
            "push": f"127.0.0.1:{port}",
            "push_call": call or {},
            "retry": SOON,
            **settings,
        }
    }


async def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    async with connect(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def failed(dsn: str) -> list[tuple[int, int, str]]:
    """The attempts that failed: seq, number, outcome."""
    return await rows(
        dsn,
        "SELECT seq, attempt, outcome FROM hookline.attempts WHERE outcome <> 'acked' ORDER BY seq, attempt",
    )


async def states(dsn: str) -> list[tuple[int, str, str]]:
    return await rows(dsn, "SELECT seq, state, reason FROM hookline.deliveries ORDER BY seq")


async def circuit_opens(relay: Relay) -> None:
    def opened() -> bool:
        pushed = [served.push for served in relay.subscribers._served.values() if served.push is not None]
        return bool(pushed) and is_open(pushed[0])

    await until(opened, "the circuit opens")


async def all_settled(dsn: str, count: int) -> bool:
    """Whether the cursors stand behind so many events, and nothing is pending or waits."""
    found = await cursors(dsn)
    read = await rows(
        dsn,
        "SELECT count(*) FROM hookline.outbox AS o JOIN hookline.cursors AS c USING (shard)"
        " WHERE o.seq <= c.position",
    )
    waiting = [state for _, state, _ in await states(dsn) if state != "dead"]
    return read == [(count,)] and not any(row["pending"] for row in found.values()) and not waiting


class Supervised:
    """A consumer process that is started again whenever it dies, as an orchestrator does."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.deaths = 0
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def events(self) -> list[str]:
        """Ids of the events that it has acked, in order."""
        return self._log.read_text(encoding="utf-8").split() if self._log.exists() else []

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    async def _watch(self) -> None:
        command = [sys.executable, push_consumer.__file__, str(self.port), str(self._log)]
        while True:
            self._process = await asyncio.create_subprocess_exec(*command)
            await self._process.wait()
            self.deaths += 1


async def test_each_event_gets_its_own_outcome(database: str) -> None:
    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        del context
        response = DeliverResponse()
        for delivery in request.deliveries:
            settlement = pb.Settlement(token=delivery.token)
            match delivery.body:
                case b"retry" if delivery.attempt == 1:
                    settlement.retry.reason = "busy"
                case b"reject":
                    settlement.reject.reason = "no such account"
                case b"unnamed" if delivery.attempt == 1:
                    continue
                case b"release" if released(delivery):
                    settlement.release.SetInParent()
                case _:
                    settlement.ack.SetInParent()
            response.settlements.append(settlement)
        return response

    seen: dict[str, int] = {}

    def released(delivery: pb.Delivery) -> bool:
        seen[delivery.event_id] = seen.get(delivery.event_id, 0) + 1
        return seen[delivery.event_id] == 1

    bodies = [b"ack", b"retry", b"reject", b"unnamed", b"release"]
    sent = await append(database, [event(body) for body in bodies])
    async with PushedTo(answer) as consumer, Relay(database, pushed_to(consumer.port)):
        await until(lambda: all_settled(database, 5), "all are settled")
    assert await states(database) == [(3, "dead", "no such account")]
    assert await failed(database) == [(2, 1, "retried"), (3, 1, "rejected"), (4, 1, "failed")]
    assert set(consumer.events) == set(sent)
    handed = [(d.body, d.attempt) for call in consumer.calls for d in call.deliveries]
    assert sorted(handed) == sorted(
        [(body, 1) for body in bodies] + [(b"retry", 2), (b"unnamed", 2), (b"release", 1)]
    )


async def test_an_event_that_kills_its_consumer_is_the_only_dead_letter(
    database: str, tmp_path: Path
) -> None:
    events = [event(b"{}", shard=number % 4) for number in range(300)]
    events[137] = event(b"poison", shard=1)
    sent = await append(database, events)
    async with (
        Supervised(tmp_path / "acked") as consumer,
        Relay(database, pushed_to(consumer.port, call={"max_events": 50})),
    ):
        await until(lambda: all_settled(database, 300), "all are settled", patience=90)
        assert [state for _, state, _ in await states(database)] == ["dead"]
        assert sorted(set(consumer.events)) == sorted(set(sent) - {sent[137]})
        # Nobody else was charged with an attempt.
        assert await failed(database) == [(138, 1, "lost"), (138, 2, "lost"), (138, 3, "lost")]
        assert consumer.deaths >= 4


async def test_a_consumer_that_is_down_costs_no_attempt(database: str) -> None:
    port = free_port()
    sent = await append_many(database, 40)
    async with Relay(database, pushed_to(port)) as relay:
        await circuit_opens(relay)
        assert await failed(database) == []
        assert await states(database) == []
        async with PushedTo(port=port) as consumer:
            await until(lambda: all_settled(database, 40), "all are settled")
        assert sorted(consumer.events) == sorted(sent)
        assert {d.attempt for call in consumer.calls for d in call.deliveries} == {1}
        assert await failed(database) == []


async def test_what_is_never_answered_in_time_ends_as_a_dead_letter(database: str) -> None:
    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        if any(delivery.body == b"endless" for delivery in request.deliveries):
            return await never(request, context)
        return await ack_all(request, context)

    sent = await append(database, [event(b"{}"), event(b"endless"), event(b"{}")])
    async with (
        PushedTo(answer) as consumer,
        Relay(database, pushed_to(consumer.port, call={"deadline": "200ms"})),
    ):
        await until(lambda: all_settled(database, 3), "all are settled", patience=60)
    [(seq, state, reason)] = await states(database)
    assert (seq, state) == (2, "dead")
    assert "DEADLINE_EXCEEDED" in reason
    assert await failed(database) == [(2, 1, "expired"), (2, 2, "expired"), (2, 3, "expired")]
    assert set(consumer.events) == set(sent)


async def test_events_of_a_key_come_one_after_the_other_in_spite_of_retries(database: str) -> None:
    handed: dict[str, list[tuple[bytes, int]]] = {}
    at_once: list[int] = []

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        keys = [delivery.ordering_key for delivery in request.deliveries]
        at_once.append(max(keys.count(key) for key in keys))
        response = await ack_all(request, context)
        for delivery, settlement in zip(request.deliveries, response.settlements, strict=True):
            handed.setdefault(delivery.ordering_key, []).append((delivery.body, delivery.attempt))
            if int(delivery.body) % 5 == 0 and delivery.attempt == 1:
                settlement.retry.reason = "later"
        return response

    await append(database, [event(b"%d" % number, shard=number % 3) for number in range(60)])
    async with (
        PushedTo(answer) as consumer,
        Relay(database, pushed_to(consumer.port, ordering="key", call={"max_events": 10})),
    ):
        await until(lambda: all_settled(database, 60), "all are settled", patience=60)
    assert max(at_once) == 1
    for shard in range(3):
        expected = []
        for number in range(shard, 60, 3):
            expected += [(b"%d" % number, 1)] + ([(b"%d" % number, 2)] if number % 5 == 0 else [])
        assert handed[f"subject-{shard}"] == expected


async def test_a_relay_that_stops_waits_for_the_answer(database: str) -> None:
    go = asyncio.Event()

    async def answer(request: DeliverRequest, context: Any) -> DeliverResponse:
        await go.wait()
        return await ack_all(request, context)

    await append_many(database, 5, shards=1)
    async with PushedTo(answer) as consumer:
        async with Relay(database, pushed_to(consumer.port)) as relay:
            await consumer.started.wait()
            draining = asyncio.create_task(relay._relay.drain())
            await until(lambda: relay.dispatcher().leases._draining, "it drains")
            await append_many(database, 5, shards=1)
            go.set()
            await draining
        assert await failed(database) == []
        acked = len(consumer.events)
        assert acked == 5
        async with Relay(database, pushed_to(consumer.port)):
            await until(lambda: all_settled(database, 10), "the rest is delivered")
        assert len(consumer.events) == len(set(consumer.events)) == 10


async def test_a_push_server_of_the_sdk_behind_a_relay(database: str) -> None:
    handled: list[tuple[str, str]] = []

    async def handler(delivery: Delivery) -> None:
        handled.append((delivery.subscription, delivery.event_id))
        match delivery.body:
            case b"reject":
                raise Reject("no such account")
            case b"bug" if delivery.attempt == 1:
                raise ZeroDivisionError

    bodies = [b"{}", b"reject", b"bug", b"{}"]
    sent = await append(database, [event(body) for body in bodies])
    async with PushServer(handler, "127.0.0.1:0") as server, Relay(database, pushed_to(server.port)):
        await until(lambda: all_settled(database, 4), "all are settled")
    assert await states(database) == [(2, "dead", "no such account")]
    assert await failed(database) == [(2, 1, "rejected"), (3, 1, "retried")]
    assert set(handled) == {("all", event_id) for event_id in sent}


@asynccontextmanager
async def served_with_tls(authority: Authority) -> AsyncIterator[PushedTo]:
    credentials = serves_as(authority.sign("server", HOST), clients_of=authority)
    async with PushedTo(credentials=credentials) as consumer:
        yield consumer


async def test_both_ends_prove_who_they_are(database: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.sign("relay")
    await append_many(database, 3)
    tls = {
        "ca_file": str(authority.certificate),
        "certificate_file": str(client.certificate),
        "key_file": str(client.key),
        "server_name": HOST,
    }
    async with (
        served_with_tls(authority) as consumer,
        Relay(database, pushed_to(consumer.port, call={"tls": tls})),
    ):
        await until(lambda: all_settled(database, 3), "all are settled")


async def test_a_consumer_of_another_authority_costs_no_attempt(database: str, tmp_path: Path) -> None:
    await append_many(database, 3)
    tls = {"ca_file": str(Authority(tmp_path, "other").certificate), "server_name": HOST}
    async with (
        served_with_tls(Authority(tmp_path)) as consumer,
        Relay(database, pushed_to(consumer.port, call={"tls": tls})) as relay,
    ):
        await circuit_opens(relay)
        assert consumer.calls == []
        assert await failed(database) == []
        assert await states(database) == []
