"""A rolling upgrade: the version before and this one side by side, over a schema that is migrated under both."""

import json
import signal
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from chaos import previous
from chaos.consumers import ConsumerProcess, addresses
from chaos.fleet import is_shared
from chaos.ledger import balance
from chaos.provider import Provider
from hookline.embedded import EmbeddedPostgres
from hookline.store.migrate import known
from path.rig.database import connect
from path.rig.process import EdgeProcess, Process, RelayProcess, write_config
from path.rig.stream import RawStream
from path.rig.wait import until
from store.empty import empty_database

TABLES = {
    "database": {"shards": 8},
    "sources.begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]},
    "rejections": {"body": "omit"},
    "relay": {"heartbeat": "200ms", "poll": "50ms"},
    "subscriptions.all": {"start": "earliest", "ordering": "key"},
    "subscriptions.troubled": {"start": "earliest"},
}


class Version:
    """An edge and a relay of one version."""

    def __init__(self, dsn: str, directory: Path) -> None:
        directory.mkdir()
        self._config = write_config(directory / "hookline.toml", TABLES)
        self.relay = RelayProcess(dsn, self._config)
        self.edge = EdgeProcess(dsn, self._config)
        self.migrate = Process(
            "migrate",
            "--config",
            str(self._config),
            log=directory / "migrate.log",
            environment={"HOOKLINE_DATABASE_URL": dsn},
        )

    async def migrated(self) -> None:
        self.migrate.start()
        assert await self.migrate.ended(patience=60) == 0, self.migrate.output()

    async def drained(self) -> None:
        for process in (self.edge, self.relay):
            process.signal(signal.SIGTERM)
        for process in (self.edge, self.relay):
            assert await process.ended() == 0, process.output()

    def complaints(self) -> list[str]:
        """Lines of its logs that say that something isn't as it should be, but for the trouble that we make."""
        texts = [text for log in (self.edge, self.relay) for text in log.output().splitlines()]
        lines = [json.loads(text) for text in texts]
        return [
            str(line)
            for line in lines
            if line["level"] not in ("debug", "info") and line.get("subscription") != "troubled"
        ]


async def newest_migration(dsn: str) -> int:
    async with connect(dsn) as connection:
        return int(await connection.fetchval("SELECT max(version) FROM hookline.migrations"))


async def is_settled(dsn: str) -> bool:
    async with connect(dsn) as connection:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM hookline.deliveries WHERE subscription = 'all')"
            " OR EXISTS (SELECT FROM hookline.outbox AS o JOIN hookline.cursors AS c USING (shard)"
            " WHERE c.subscription = 'all' AND (o.seq > c.position OR o.seq = ANY (c.pending)))"
        )


async def give_trouble(target: str, dsn: str) -> None:
    """Everything that leaves rows behind: a retry that comes again, a rejection, a release, an extended lease."""
    async with RawStream(target) as stream:
        await stream.start("troubled", events=4)
        retried, rejected, released, extended = await stream.deliveries(4)
        for confirmation in (
            await stream.extend(extended, lease=timedelta(seconds=20)),
            await stream.retry(retried, delay=timedelta(milliseconds=1), reason="not yet"),
            await stream.reject(rejected, reason="never"),
            await stream.release(released),
            await stream.ack(extended),
        ):
            assert not confirmation.failures
        seen: Counter[str] = Counter()
        while not {retried.event_id, released.event_id} <= seen.keys():
            [delivery] = await stream.deliveries(1)
            seen[delivery.event_id] += 1
            assert not (await stream.ack(delivery)).failures
        assert rejected.event_id not in seen
    async with connect(dsn) as connection:
        dead = await connection.fetch(
            "SELECT event_id, reason FROM hookline.deliveries WHERE state = 'dead'"
            " AND subscription = 'troubled'"
        )
        assert (rejected.event_id, "never") in [(str(row["event_id"]), row["reason"]) for row in dead]


@pytest.mark.timeout(150)
async def test_a_rolling_upgrade_loses_nothing_and_the_old_processes_notice_nothing(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    old_code = previous.unpack(tmp_path / "previous")
    async with AsyncExitStack() as parts:
        dsn = await parts.enter_async_context(empty_database(postgres))
        old, new = Version(dsn, tmp_path / "old"), Version(dsn, tmp_path / "new")
        for version in (old, new):
            for process in (version.relay, version.edge, version.migrate):
                parts.push_async_callback(process.__aexit__, None, None, None)
        relays = [old.relay, new.relay]
        with previous.runs(old_code):
            await old.migrated()
            assert await newest_migration(dsn) == previous.NEWEST_MIGRATION
            old.relay.start()
            old.edge.start()
            await old.relay.ready()
            await old.edge.ready()
            old_consumer = await parts.enter_async_context(
                ConsumerProcess(tmp_path, addresses(relays), subscriptions=["all"])
            )
        new_consumer = await parts.enter_async_context(
            ConsumerProcess(tmp_path, addresses(relays, first=1), subscriptions=["all"])
        )
        provider = await parts.enter_async_context(Provider([old.edge]))

        async def goes_on(what: str) -> None:
            """More webhooks are accepted and acked."""
            goal = len(acked()) + 25
            await until(lambda: len(acked()) >= goal, f"events are delivered {what}")

        def acked() -> list[str]:
            journals = (old_consumer.entries(), new_consumer.entries())
            return [entry.event_id for journal in journals for entry in journal if entry.kind == "confirmed"]

        await goes_on("before the upgrade")
        await new.migrated()
        assert await newest_migration(dsn) == known()[-1].version
        await goes_on("by the old version over the new schema")
        await give_trouble(old.relay.target, dsn)

        new.relay.start()
        new.edge.start()
        await new.relay.ready()
        await new.edge.ready()
        provider.edges.append(new.edge)
        # Where a consumer is moves with its connection: one of its own makes the new relay take a share.
        async with RawStream(new.relay.target) as joined:
            await joined.start("all", events=0)
            await until(lambda: is_shared(dsn, "all", 2), "old and new share the shards")
            await goes_on("by both versions")
            provider.edges.remove(old.edge)
            await old.drained()
        await goes_on("by the new version")
        await give_trouble(new.relay.target, dsn)
        await provider.stop()
        await until(lambda: is_settled(dsn), "everything is settled", patience=30)
        journals = [old_consumer.entries(), new_consumer.entries()]
        ledger = await balance(dsn, provider.accepted, journals, "all")
    ledger.check(0, ordered=True)
    assert ledger.duplicates == 0, "who is drained hands nothing over that it has"
    assert provider.sent_again == 0, "no edge was gone while it was asked"
    assert old.complaints() == []
    assert new.complaints() == []
