"""The run: rulers and subject take turns, so that what slows the machine for a while slows them all."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from enum import StrEnum

from bench import fan_out_service, hookline_service, neighbours, pgbench
from bench.measures import (
    backlog,
    headroom,
    ingest,
    latency,
    ledger,
    ordered,
    path,
    redelivery,
    schema_watch,
    snapshot,
    tracing,
    verify,
)
from bench.naive import service as naive_service
from bench.rig import Rig
from bench.samples import Reading, Samples


class Measure(StrEnum):
    """What can be measured alone."""

    INGEST = "ingest"
    PATH = "path"
    FAN_OUT = "fan-out"
    HEADROOM = "headroom"
    LATENCY = "latency"
    BACKLOG = "backlog"
    LEDGER = "ledger"
    ORDERED = "ordered"
    SNAPSHOT = "snapshot"
    REDELIVERY = "redelivery"
    VERIFY = "verify"
    SCHEMA_WATCH = "schema-watch"
    TRACING = "tracing"


_OVER_ONE_LOG = frozenset({Measure.BACKLOG, Measure.LEDGER, Measure.ORDERED})
"""Measures that fill a database once for all rounds."""


class Runner:
    """Runs what is wanted, as often as it is wanted."""

    def __init__(
        self, rig: Rig, *, only: frozenset[Measure], rounds: int, tell: Callable[[str], None]
    ) -> None:
        self.samples = Samples()
        self._rig = rig
        self._only = only
        self._rounds = rounds
        self._tell = tell

    async def run(self) -> None:
        """Measure everything."""
        if self._only - _OVER_ONE_LOG:
            for turn in range(1, self._rounds + 1):
                await self._round(turn)
        if Measure.BACKLOG in self._only:
            await self._backlog()
        if Measure.LEDGER in self._only:
            await self._ledger()
        if Measure.ORDERED in self._only:
            await self._ordered()

    async def _round(self, turn: int) -> None:
        rig = self._rig
        await self._listen(turn)
        if self._only & {Measure.INGEST, Measure.PATH}:
            self._keep("pgbench", turn, await pgbench.measure(rig))
        if Measure.INGEST in self._only:
            await self._fresh(
                "naive ingest", turn, lambda database: ingest.measure(rig, naive_service, database)
            )
            await self._fresh(
                "hookline ingest", turn, lambda database: ingest.measure(rig, hookline_service, database)
            )
        if Measure.PATH in self._only:
            await self._fresh("naive path", turn, lambda database: path.measure(rig, naive_service, database))
        if self._only & {Measure.PATH, Measure.FAN_OUT}:
            await self._fresh(
                "hookline path", turn, lambda database: path.measure(rig, hookline_service, database)
            )
        if Measure.FAN_OUT in self._only:
            await self._fresh(
                "hookline fanout3", turn, lambda database: path.measure(rig, fan_out_service, database)
            )
        if Measure.HEADROOM in self._only:
            self._keep("trivial server", turn, await headroom.measure(rig))
        if Measure.LATENCY in self._only:
            async with rig.server.fresh_database("bench") as database:
                middle, high = await latency.measure(rig, database)
            self._keep("hookline latency p50", turn, middle)
            self._keep("hookline latency p99", turn, high)
        if Measure.SNAPSHOT in self._only:
            async with (
                rig.server.fresh_database("bench") as database,
                rig.server.fresh_database("bench") as held_database,
            ):
                without, held = await snapshot.measure(rig, database, held_database)
            self._keep("hookline no snapshot", turn, without)
            self._keep("hookline held snapshot", turn, held)
        if Measure.REDELIVERY in self._only:
            await self._fresh("hookline redelivery", turn, lambda database: redelivery.measure(rig, database))
        await self._traced(turn)
        await self._in_this_process(turn)

    async def _traced(self, turn: int) -> None:
        """Three installations, which trace nothing, a little and everything."""
        if Measure.TRACING not in self._only:
            return
        async with AsyncExitStack() as stack:
            databases = [
                await stack.enter_async_context(self._rig.server.fresh_database("bench"))
                for _ in tracing.RATIOS
            ]
            for name, reading in (await tracing.measure(self._rig, databases)).items():
                self._keep(f"hookline {name}", turn, reading)

    async def _in_this_process(self, turn: int) -> None:
        """What needs no service: processor time of single functions."""
        if Measure.VERIFY in self._only:
            readings = await asyncio.to_thread(verify.measure)
            for signer, reading in readings.items():
                self._keep(f"verify_us {signer}", turn, reading)
        if Measure.SCHEMA_WATCH in self._only:
            for name, reading in await asyncio.to_thread(lambda: [*schema_watch.measure()]):
                self._keep(name, turn, reading)
        if Measure.TRACING in self._only:
            for name, reading in await asyncio.to_thread(lambda: [*tracing.measure_hooks()]):
                self._keep(name, turn, reading)

    async def _fresh(self, name: str, turn: int, measure: Callable[[str], Awaitable[Reading]]) -> None:
        """Measure on a database of its own."""
        async with self._rig.server.fresh_database("bench") as database:
            self._keep(name, turn, await measure(database))

    async def _backlog(self) -> None:
        """The events are let in once; each round has a subscription to which all of them are new."""
        async with self._rig.server.fresh_database("bench") as database:
            self._tell(f"filling the log with {self._rig.backlog_events:,} events")
            await backlog.fill(self._rig, database, events=self._rig.backlog_events)
            for turn in range(1, self._rounds + 1):
                await self._listen(turn)
                self._keep("hookline backlog", turn, await backlog.measure(self._rig, database, turn))

    async def _ledger(self) -> None:
        """The grown ledger is made once; the empty one is new in each round."""
        rig = self._rig
        async with AsyncExitStack() as databases:
            # All are kept to the end: to drop one is to write a checkpoint, and none may come in between.
            grown = await databases.enter_async_context(rig.server.fresh_database("bench"))
            self._tell(f"filling the ledger with {rig.ledger_rows:,} rows")
            await ledger.fill(rig, grown)
            for turn in range(1, self._rounds + 1):
                await self._listen(turn)
                empty = await databases.enter_async_context(rig.server.fresh_database("bench"))
                for name, database in (("empty", empty), ("grown", grown)):
                    reading = await ingest.measure(rig, hookline_service, database, settle=False)
                    self._keep(f"hookline {name} ledger", turn, reading)

    async def _ordered(self) -> None:
        """The events are let in once; each round has subscriptions of its own."""
        rig = self._rig
        turns = range(1, self._rounds + 1)
        async with rig.server.fresh_database("bench") as database:
            self._tell(f"getting {rig.stuck_events:,} events stuck, {self._rounds} times")
            free_from = await ordered.fill(rig, database, turns)

            async def free(turn: int) -> Reading:
                return await ordered.free(rig, database, turn, free_from)

            async def beside(turn: int) -> Reading:
                return await ordered.beside(rig, database, turn)

            for turn in turns:
                await self._listen(turn)
                pair = [("hookline free keys", free), ("hookline beside stuck keys", beside)]
                # Who is first in one round is second in the next.
                for name, measure in pair if turn % 2 else reversed(pair):
                    self._keep(name, turn, await measure(turn))
                self._keep("hookline among stuck keys", turn, await ordered.among(rig, database, turn))

    async def _listen(self, turn: int) -> None:
        """Keep how busy the machine is with other things, and say so if that spoils what comes."""
        reading = await neighbours.listen()
        self.samples.add("neighbours", turn, reading)
        if reading.value > neighbours.LOUD:
            self._tell(
                f"round {turn}  other programs take {reading.value:.0f}% of this machine: expect worse figures"
            )

    def _keep(self, name: str, turn: int, reading: Reading) -> None:
        self.samples.add(name, turn, reading)
        self._tell(f"round {turn}  {name:<24} {reading.value:>12,.1f} {reading.unit}")
