"""A database is lost, and a backup takes its place: what is in it, what comes again, and what old tokens may do."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from hookline.embedded import EmbeddedPostgres
from hookline.store.migrate import migrate
from hookline.v1 import delivery_pb2 as pb
from path.rig.backup import archive_to, own_directory, passable_directory, replay_from, run
from path.rig.database import connect, cursors
from path.rig.postgres import PostgresProcess
from path.rig.process import EdgeProcess, RelayProcess
from path.rig.stream import RawStream, ids, reasons
from path.rig.unary import Unary
from path.rig.wait import until
from path.rig.webhooks import body, post
from store.empty import empty_database

SHARDS = 8
SUBJECT = "a-subject"
STALE = pb.SETTLEMENT_FAILURE_REASON_STALE_TOKEN


@asynccontextmanager
async def serving(dsn: str, config: Path) -> AsyncIterator[tuple[EdgeProcess, RelayProcess]]:
    async with AsyncExitStack() as parts:
        edge, relay = EdgeProcess(dsn, config), RelayProcess(dsn, config)
        for process in (relay, edge):
            process.start()
            parts.push_async_callback(process.__aexit__, None, None, None)
        yield await edge.ready(), await relay.ready()


async def log(dsn: str) -> dict[str, tuple[int, int]]:
    """Where each event is: its shard and seq."""
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT event_id, shard, seq FROM hookline.outbox ORDER BY seq")
    return {str(row["event_id"]): (row["shard"], row["seq"]) for row in rows}


async def ledger(dsn: str) -> set[str]:
    async with connect(dsn) as connection:
        return {str(row["id"]) for row in await connection.fetch("SELECT id FROM hookline.events")}


async def owned_epochs(dsn: str) -> set[int]:
    return {row["epoch"] for row in (await cursors(dsn)).values() if row["owner"]}


async def test_a_restored_dump_is_an_earlier_state_and_tokens_of_the_lost_one_settle_nothing_in_it(
    postgres: EmbeddedPostgres, database: str, config: Path
) -> None:
    scored = [body(SUBJECT, score=score) for score in (500, 501, 502, 503)]
    async with AsyncExitStack() as parts:
        async with serving(database, config) as (edge, relay), RawStream(relay.target) as stream:
            await stream.start()
            acked, open_ = [(await post(edge.url, content))["event_id"] for content in scored[:2]]
            first, second = await stream.deliveries(2)
            assert ids([first, second]) == [acked, open_]
            assert not (await stream.ack(first)).failures

            directory = parts.enter_context(passable_directory())
            dump = own_directory(directory / "backup") / "dump"
            await run("pg_dump", "--format=custom", "--file", dump, database)

            # After the backup: the relay is another one, one more is accepted, and all is acked.
            lost = (await post(edge.url, scored[2]))["event_id"]
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
            relay.start()
            await relay.ready()
            async with RawStream(relay.target) as again:
                await again.start()
                held = await again.deliveries(2)
                assert ids(held) == [open_, lost]
                assert not (await again.ack(held[0])).failures
            lost_token = held[1].token
            lost_epochs = await owned_epochs(database)
        [lost_place] = [place for event_id, place in (await log(database)).items() if event_id == lost]

        restored = await parts.enter_async_context(empty_database(postgres))
        await run("pg_restore", "--exit-on-error", "--dbname", restored, dump)
        assert await migrate(restored, shards=SHARDS) == [], "the schema came with it"
        assert await ledger(restored) == {acked, open_}
        async with serving(restored, config) as (edge, relay), RawStream(relay.target) as stream:
            # Another event takes the place of the one that is lost.
            other = (await post(edge.url, scored[3]))["event_id"]
            assert (await log(restored))[other] == lost_place
            await stream.start()
            held = await stream.deliveries(2)
            assert ids(held) == [open_, other], "acked after the backup, so it comes again"
            assert await owned_epochs(restored) >= lost_epochs, "even the epoch is one that was there before"
            async with Unary(relay.target) as late:
                answer = await late.settle([pb.Settlement(token=lost_token, ack=pb.Ack())])
            assert reasons(answer) == {lost_token: STALE}
            assert not (await stream.ack(*held)).failures

            # The provider sends again what it sent before; what the backup knows is a duplicate.
            assert (await post(edge.url, scored[0]))["status"] == "duplicate"
            assert (await post(edge.url, scored[2]))["status"] == "accepted"
            [late_delivery] = await stream.deliveries(1)
            assert late_delivery.event_id == lost
            assert not (await stream.ack(late_delivery)).failures
            assert await stream.rest() == []
        assert await ledger(restored) == {acked, open_, other, lost}
        places = await log(restored)
        for shard, cursor in (await cursors(restored)).items():
            assert cursor["pending"] == []
            assert cursor["position"] >= max((seq for of, seq in places.values() if of == shard), default=0)


async def test_a_base_backup_and_the_archived_wal_bring_back_everything_that_was_accepted(
    config: Path,
) -> None:
    async with AsyncExitStack() as parts:
        directory = parts.enter_context(passable_directory())
        archive, base = directory / "archive", directory / "second" / "postgres"
        server = await parts.enter_async_context(PostgresProcess(directory / "first"))
        await archive_to(server, archive)
        await migrate(server.url, shards=SHARDS)
        async with serving(server.url, config) as (edge, relay), RawStream(relay.target) as stream:
            await stream.start()
            before = (await post(edge.url, body(SUBJECT, score=500)))["event_id"]
            assert not (await stream.ack(*await stream.deliveries(1))).failures
            own_directory(base)
            await run("pg_basebackup", "--pgdata", base, "--checkpoint=fast", "--dbname", server.url)
            await run("pg_verifybackup", base)
            after = (await post(edge.url, body(SUBJECT, score=501)))["event_id"]
            held = await stream.deliveries(1)
            assert ids(held) == [after]
            await archived(server.url)
        server.stop()
        replay_from(archive, base)
        second = await parts.enter_async_context(PostgresProcess(base.parent))
        await until(lambda: takes_writes(second.url), "the recovery ends")
        assert await ledger(second.url) == {before, after}
        async with serving(second.url, config) as (edge, relay), RawStream(relay.target) as stream:
            assert (await post(edge.url, body(SUBJECT, score=501)))["status"] == "duplicate"
            await stream.start()
            [delivery] = await stream.deliveries(1)
            assert delivery.event_id == after, "unsettled, so it comes again"
            assert not (await stream.ack(delivery)).failures
            further = (await post(edge.url, body(SUBJECT, score=502)))["event_id"]
            [delivery] = await stream.deliveries(1)
            assert delivery.event_id == further
            assert not (await stream.ack(delivery)).failures
            assert await stream.rest() == []


async def archived(url: str) -> None:
    """End a WAL segment, and wait until it is in the archive."""
    async with connect(url) as operator:
        segment = await operator.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

        async def there() -> bool:
            return bool(
                await operator.fetchval("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", segment)
            )

        await until(there, "the WAL is archived")


async def takes_writes(url: str) -> bool:
    async with connect(url) as connection:
        return not await connection.fetchval("SELECT pg_is_in_recovery()")
