"""Whatever is in a body, what is genuine is stored byte for byte, and nothing else is."""

from hostile.families import BODIES
from hostile.runner import Runner


async def test_each_of_these_does_exactly_what_it_should(runner: Runner) -> None:
    await runner.run_all(BODIES)
