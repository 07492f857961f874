"""Webhooks out: a batch from the outbox, a unary call per event, a mark on what was delivered.

`python -m bench.naive.relay TARGET`
"""

import asyncio
import os
import sys

import asyncpg
import grpc
import uvloop

from bench.naive.consumer import DELIVER
from bench.tally import Tally, answer

_AT_A_TIME = 32
_IDLE = 0.01
"""Seconds until the outbox is looked at again after it was found empty."""

_TAKE = """
SELECT id, body FROM outbox
 WHERE delivered_at IS NULL
 ORDER BY id
 LIMIT 100
   FOR UPDATE SKIP LOCKED
"""
_MARK = "UPDATE outbox SET delivered_at = now() WHERE id = ANY($1::bigint[])"


async def _deliver_batch(
    connection: "asyncpg.Connection[asyncpg.Record]",
    deliver: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]",
    slots: asyncio.Semaphore,
) -> int:
    """Deliver up to 100 events; answers how many were delivered and marked."""

    async def call(row: asyncpg.Record) -> int | None:
        async with slots:
            try:
                await deliver(row["id"].to_bytes(8, "big") + row["body"], timeout=10)
            except grpc.aio.AioRpcError:
                return None  # the next batch tries it again
            return int(row["id"])

    async with connection.transaction():
        outcomes = await asyncio.gather(*[call(row) for row in await connection.fetch(_TAKE)])
        delivered = [event_id for event_id in outcomes if event_id is not None]
        if delivered:
            await connection.execute(_MARK, delivered)
    return len(delivered)


async def relay(target: str, tally: Tally) -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    async with grpc.aio.insecure_channel(target) as channel:
        deliver: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(DELIVER)
        slots = asyncio.Semaphore(_AT_A_TIME)
        while True:
            if delivered := await _deliver_batch(connection, deliver, slots):
                tally.add(delivered)
            else:
                await asyncio.sleep(_IDLE)


async def main(target: str) -> None:
    tally = Tally()
    work = asyncio.create_task(relay(target, tally))
    questions = asyncio.create_task(answer(tally))
    done, _ = await asyncio.wait({work, questions}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    for task in done:
        task.result()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
