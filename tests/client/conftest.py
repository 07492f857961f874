"""A relay in the test's own event loop, over a database of its own."""

from collections.abc import AsyncIterator

import pytest

from path.rig.relay import Relay


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    """Serves the subscription `all`: everything, from the start of the log."""
    async with Relay(database) as relay:
        yield relay
