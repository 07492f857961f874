"""A consuming service as a process: its handlers end when the file DIRECTORY/{event id} is there."""

import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import uvloop

from hookline.client import Consumer, Delivery

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def main(target: str, directory: Path, grace: timedelta, loop: str) -> None:
    async def handler(delivery: Delivery) -> None:
        print("begun", delivery.event_id, flush=True)
        while not (directory / delivery.event_id).exists():  # noqa: ASYNC110  (another process writes it)
            await asyncio.sleep(0.02)

    async def serve() -> None:
        found = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        await Consumer(target, "all").run(handler, grace=grace)
        assert found == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        print("returned", flush=True)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), timedelta(seconds=float(sys.argv[3])), sys.argv[4])
