"""Whatever stands where a key is looked for, it is stored as it came, or is no key."""

from hostile.families import KEYS
from hostile.runner import Runner


async def test_each_of_these_does_exactly_what_it_should(runner: Runner) -> None:
    await runner.run_all(KEYS)
