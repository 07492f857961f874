"""Wait for a condition that nobody signals, such as a row in a database or a process that ends."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

PATIENCE = 20.0
_INTERVAL = 0.02


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, *, patience: float = PATIENCE
) -> None:
    """Look until the condition holds; fail with `what` if it doesn't in time."""
    deadline = monotonic() + patience
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert monotonic() < deadline, f"did not happen within {patience:g} s: {what}"
        await asyncio.sleep(_INTERVAL)
