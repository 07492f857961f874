"""Relays in the test's own event loop: a real one, and one that does what the test says."""

from collections.abc import AsyncIterator

import pytest

from client.scripted_relay import ScriptedRelay
from path.rig.relay import Relay


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    """Serves the subscription `all`: everything, from the start of the log."""
    async with Relay(database) as relay:
        yield relay


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedRelay]:
    """Says and hears what the test wants."""
    async with ScriptedRelay() as relay:
        yield relay
