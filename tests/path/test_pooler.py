"""The whole path with the duties' roles, through PgBouncer in transaction mode: far fewer connections than clients."""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import httpx
import pytest

from conftest import SHARDS
from hookline.core.validity import ALWAYS
from hookline.model import SourceName
from hookline.sealing import Sealer, decode_key, encode_key, random_key
from hookline.simulator.signature import Signer
from hookline.store import roles, secrets
from hookline.store.migrate import known, migrate
from hookline.store.password import scram_verifier
from hookline.store.rights import DUTIES
from hookline.store.session import Session
from hookline.v1 import dead_letter_pb2 as dead_pb
from hookline.v1 import event_pb2 as event_pb
from hookline.v1 import replay_pb2 as replay_pb
from hookline.v1 import subscription_pb2 as pb
from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from hookline.v1.event_pb2_grpc import EventServiceStub
from hookline.v1.replay_pb2_grpc import ReplayServiceStub
from hookline.v1.subscription_pb2_grpc import SubscriptionServiceStub
from path.rig.database import connect
from path.rig.pgbouncer import PgBouncer
from path.rig.process import KEY, EdgeProcess, RelayProcess, write_config
from path.rig.run import hookline
from path.rig.stream import RawStream
from path.rig.wait import until
from path.rig.webhooks import body, post
from store.role_rig import DutyRoles

pytestmark = pytest.mark.timeout(180)
PASSWORD = "a-password-that-only-tests-use"
POOL = 3
"""Connections for each role; an edge alone has nine sessions, a relay seventeen."""
EVENTS = 40
LATE_KEY = "a-key-that-the-edge-learns-late"
WITHIN = timedelta(seconds=10)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not pytest's: PgBouncer runs as another user."""
    directory = Path(tempfile.mkdtemp(prefix="hookline-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


async def _send(url: str, *, patience: float = 20) -> str:
    """As a provider does: again until it is accepted."""
    content = body()
    accepted: dict[str, Any] = {}

    async def is_accepted() -> bool:
        try:
            accepted.update(await post(url, content))
        except (AssertionError, httpx.TransportError):
            return False
        return True

    await until(is_accepted, "the webhook is accepted", patience=patience)
    return str(json.loads(content)["uid"])


def _uids(deliveries: list[Any]) -> list[str]:
    return sorted(json.loads(delivery.body)["uid"] for delivery in deliveries)


async def test_everything_works_through_pgbouncer_with_nothing_but_the_duties_roles(
    database: str, directory: Path, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        rig = _Rig(database, tmp_path)
        await rig.start(stack, directory)
        await _deliver(rig)
        await _admit(rig)
        await _outlive_the_pooler(rig)
        await _look_behind(rig)
        await _hear(rig, stack)


class _Rig:
    """Edge and relay behind PgBouncer, each as its role."""

    def __init__(self, database: str, directory: Path) -> None:
        self.database = database
        self.directory = directory
        self.roles = DutyRoles(database)
        self.sealing_key = encode_key(random_key())
        self.environment = {"SEALING_KEY": self.sealing_key, "BEGINI_API_KEY": KEY}
        self.tables: dict[str, dict[str, Any]] = {
            "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY", "stored"]},
            "subscriptions.all": {"start": "earliest"},
            "relay": {"lease": "2s", "heartbeat": "200ms", "poll": "50ms"},
            "database": {"shards": SHARDS},
            "secrets": {"keys": ["env:SEALING_KEY"]},
        }
        self.dropped: list[str] = []
        """Partitions that edge and relay have to make."""

    def url(self, duty: str) -> str:
        return self.pooler.url(self.roles.name(duty), PASSWORD)

    async def start(self, stack: AsyncExitStack, directory: Path) -> None:
        verifier, newest = scram_verifier(PASSWORD), known()[-1].version
        logins = dict.fromkeys(DUTIES, verifier)
        await roles.create(self.database, prefix=self.roles.prefix, logins=logins, newest=newest)
        users = {**{self.roles.name(duty): verifier for duty in DUTIES}, "postgres": verifier}
        limits = {"default_pool_size": POOL, "max_client_conn": 200}
        self.pooler = await stack.enter_async_context(PgBouncer(self.database, directory, users, limits))
        with pytest.raises(asyncpg.PostgresError, match="authentication failed"):
            await asyncpg.connect(self.pooler.url(self.roles.name("edge"), "wrong"), statement_cache_size=0)
        # Who owns it, twice: nothing is left behind in a connection that is somebody else's next.
        owner = self.pooler.url("postgres", PASSWORD)
        for _ in range(2):
            assert await migrate(owner, shards=SHARDS) == []
            shown = await roles.show(owner, newest=newest)
            assert all(not role.missing and not role.superfluous for role in shown if role.name in users)

        async with connect(self.database) as connection:
            rows = await connection.fetch(
                "SELECT max(inhrelid::regclass::text) AS part FROM pg_inherits"
                " WHERE inhparent = ANY ('{hookline.outbox,hookline.acks,hookline.attempts}'::regclass[])"
                " AND inhrelid::regclass::text !~ 'default' GROUP BY inhparent"
            )
            self.dropped = [row["part"] for row in rows]
            assert len(self.dropped) == len({"outbox", "acks", "attempts"})
            for part in self.dropped:
                await connection.execute(f"DROP TABLE {part}")

        config = write_config(self.directory / "hookline.toml", self.tables)
        self.edge, self.relay = EdgeProcess(self.url("edge"), config), RelayProcess(self.url("relay"), config)
        for process in (self.edge, self.relay):
            process._environment.update(self.environment)
            process.start()
            stack.push_async_callback(process.__aexit__, None, None, None)
        await asyncio.gather(self.edge.ready(), self.relay.ready())


async def _deliver(rig: _Rig) -> None:
    """In, out, acked, retried, dead, redriven, replayed."""
    sent = sorted(await asyncio.gather(*(_send(rig.edge.url) for _ in range(EVENTS))))
    async with RawStream(rig.relay.target) as stream:
        await stream.start()
        first = await stream.deliveries(EVENTS)
        assert _uids(first) == sent
        again, bad, *good = first
        assert not (await stream.ack(*good)).failures
        assert not (await stream.retry(again, delay=timedelta(milliseconds=100), reason="later")).failures
        assert not (await stream.reject(bad, reason="bad")).failures
        [retried] = await stream.deliveries(1)
        assert (retried.event_id, retried.attempt) == (again.event_id, 2)
        assert not (await stream.ack(retried)).failures
        async with grpc.aio.insecure_channel(rig.relay.target) as channel:
            await _operate(channel, bad.event_id)
            redriven = await stream.deliveries(1)
            assert _uids(redriven) == _uids([bad])
            assert not (await stream.ack(*redriven)).failures
            replay = replay_pb.Replay(subscription="all", events=replay_pb.EventIds(ids=[bad.event_id]))
            await ReplayServiceStub(channel).CreateReplay(replay_pb.CreateReplayRequest(replay=replay))
            replayed = await stream.deliveries(1)
            assert _uids(replayed) == _uids([bad])
            assert not (await stream.ack(*replayed)).failures


async def _admit(rig: _Rig) -> None:
    """What was refused is admitted by an operator once its key is known."""
    late = body()
    assert await _answer(rig.edge.url, late, LATE_KEY) == httpx.codes.FORBIDDEN
    await until(lambda: _has(rig.database, "rejections"), "the rejection is written")
    session = Session(rig.url("operator"), name="test")
    await secrets.add(
        session,
        Sealer([decode_key(rig.sealing_key)]),
        LATE_KEY.encode(),
        source=SourceName("begini"),
        secret_id="late",
        validity=ALWAYS,
        within=WITHIN,
    )
    await session.close()
    for command in ("rejections list", "rejections admit --all --yes", "tokens create test --role reader"):
        result = await hookline(
            *command.split(),
            cwd=rig.directory,
            environment={**rig.environment, "HOOKLINE_DATABASE_URL": rig.url("operator")},
        )
        assert result.returncode == 0, result.stderr
    async with RawStream(rig.relay.target) as stream:
        await stream.start()
        [admitted] = await stream.deliveries(1)
        assert admitted.body == late
        assert not (await stream.ack(admitted)).failures


async def _outlive_the_pooler(rig: _Rig) -> None:
    """PgBouncer ends and comes again, while webhooks arrive."""
    sending = [asyncio.create_task(_send(rig.edge.url)) for _ in range(5)]
    rig.pooler.kill()
    sending += [asyncio.create_task(_send(rig.edge.url)) for _ in range(5)]
    assert await _answer(rig.edge.url, body(), KEY) == httpx.codes.SERVICE_UNAVAILABLE
    rig.pooler.start()
    sent = set(await asyncio.gather(*sending))
    async with RawStream(rig.relay.target) as stream:
        await stream.start()
        seen: set[str] = set()
        while not seen >= sent:
            [delivery] = await stream.deliveries(1)
            await stream.ack(delivery)
            seen.update(_uids([delivery]))
        assert seen == sent


async def _look_behind(rig: _Rig) -> None:
    async with connect(rig.database) as owner:
        used = await owner.fetch(
            "SELECT usename, count(*) AS connections FROM pg_stat_activity"
            " WHERE usename = ANY ($1::text[]) GROUP BY usename",
            [rig.roles.name(duty) for duty in DUTIES],
        )
        assert {row["usename"] for row in used} >= {rig.roles.name("edge"), rig.roles.name("relay")}
        assert all(row["connections"] <= POOL for row in used)
        for part in rig.dropped:
            assert await owner.fetchval("SELECT to_regclass($1) IS NOT NULL", part), part
    assert await _has(rig.database, "acks")
    for process in (rig.edge, rig.relay):
        for error in ("InsufficientPrivilege", "InvalidSQLStatementName", "DuplicatePrepared"):
            assert error not in process.output()
        assert "a pooler stands before Postgres" in process.output()


async def _hear(rig: _Rig, stack: AsyncExitStack) -> None:
    """With a direct URL hints are listened for, around PgBouncer, and everything else goes through it."""
    assert not await _listeners(rig)
    rig.relay.signal(signal.SIGTERM)
    assert await rig.relay.ended() == 0
    rig.tables["database"]["direct_url"] = rig.roles.url("relay")
    config = write_config(rig.directory / "direct.toml", rig.tables)
    relay = RelayProcess(rig.url("relay"), config, name="hearing")
    relay._environment.update(rig.environment)
    await stack.enter_async_context(relay)
    async with RawStream(relay.target) as stream:
        await stream.start()
        await until(lambda: _listens(rig), "the relay listens")
        uid = await _send(rig.edge.url)
        hinted = await stream.deliveries(1)
        assert _uids(hinted) == [uid]
        assert not (await stream.ack(*hinted)).failures


async def _answer(url: str, content: bytes, key: str) -> int:
    headers = {"X-Signature": Signer(key).sign(content), "Content-Type": "application/json"}
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.post(url, content=content, headers=headers)).status_code


async def _operate(channel: grpc.aio.Channel, dead_event: str) -> None:
    """What operators ask of a relay."""
    subscriptions = SubscriptionServiceStub(channel)
    created = pb.Subscription(name="other")
    await subscriptions.CreateSubscription(pb.CreateSubscriptionRequest(subscription=created))
    await subscriptions.PauseSubscription(pb.PauseSubscriptionRequest(name="other"))
    await subscriptions.DeleteSubscription(pb.DeleteSubscriptionRequest(name="other"))
    events = EventServiceStub(channel)
    found = await events.ListEvents(event_pb.ListEventsRequest(page_size=100))
    assert len(found.events) == EVENTS
    one = await events.GetEvent(event_pb.GetEventRequest(name=f"events/{dead_event}"))
    assert [delivery.state for delivery in one.deliveries] == [event_pb.EVENT_DELIVERY_STATE_DEAD]
    dead = DeadLetterServiceStub(channel)
    letters = await dead.ListDeadLetters(dead_pb.ListDeadLettersRequest(subscription="all"))
    names = dead_pb.DeadLetterNames(names=[letter.name for letter in letters.dead_letters])
    again = await dead.RedriveDeadLetters(
        dead_pb.RedriveDeadLettersRequest(subscription="all", dead_letters=names)
    )
    assert again.redriven == 1


async def _has(database: str, table: str) -> bool:
    async with connect(database) as connection:
        return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM hookline.{table})"))


async def _listeners(rig: _Rig) -> list[str]:
    async with connect(rig.database) as owner:
        rows = await owner.fetch(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
    return [row["application_name"] for row in rows]


async def _listens(rig: _Rig) -> bool:
    return await _listeners(rig) == ["hookline relay wakeup"]
