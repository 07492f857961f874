"""Whatever stands in path, query and headers, only the right signature lets a body in."""

from hostile.families import HEADS
from hostile.runner import Runner


async def test_each_of_these_does_exactly_what_it_should(runner: Runner) -> None:
    await runner.run_all(HEADS)
