"""The sample consumer that is called: relays push the events of a subscription to it."""

import asyncio
import os

from hookline.client import serve_push
from sample import alive
from sample.decisions import connected


async def main() -> None:
    """Serve until SIGTERM; what is in hand then is finished first."""
    async with connected() as decisions:
        saying = asyncio.create_task(alive.keep_saying_so())
        await serve_push(decisions.decide, os.environ["SAMPLE_LISTEN"])
        saying.cancel()


if __name__ == "__main__":
    asyncio.run(main())
