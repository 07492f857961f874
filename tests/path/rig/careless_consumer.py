"""A consuming service that fails with what it is given: first by an error of its own, then by rejecting it."""

import asyncio
import logging
import sys

from hookline.client import Consumer, Delivery, Reject


async def handler(delivery: Delivery) -> None:
    if delivery.attempt == 1:
        raise ValueError(delivery.body, delivery.headers, delivery.ordering_key)
    raise Reject(f"I didn't like {delivery.body.decode(errors='replace')}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(Consumer(sys.argv[1], "all", name="careless").run(handler))
