"""Whatever is written to a socket, no byte is read as a request that wasn't sent as one."""

from hostile.families import WIRE
from hostile.runner import Runner


async def test_each_of_these_does_exactly_what_it_should(runner: Runner) -> None:
    await runner.run_all(WIRE)
