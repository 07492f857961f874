"""The sample consumer that connects: relays send it the events of a subscription over a stream."""

import asyncio
import os

from hookline.client import Consumer
from sample import alive
from sample.decisions import connected


async def main() -> None:
    """Consume until SIGTERM; what is in hand then is finished first."""
    async with connected() as decisions:
        saying = asyncio.create_task(alive.keep_saying_so())
        await Consumer(os.environ["SAMPLE_TARGET"], os.environ["SAMPLE_SUBSCRIPTION"]).run(decisions.decide)
        saying.cancel()


if __name__ == "__main__":
    asyncio.run(main())
