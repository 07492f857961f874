"""A consuming service as a process: acks what comes, and is gone without a word when a body says `poison`."""

import asyncio
import os
import sys

from hookline.client import Consumer

POISON = b"poison"


async def main(target: str, window: int) -> None:
    async with Consumer(target, "all", window=window) as consumer:
        async for delivery in consumer:
            if delivery.body == POISON:
                os._exit(1)
            await delivery.ack()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
