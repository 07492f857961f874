"""All looks side by side, each with a deadline."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta

from hookline.config import Settings
from hookline.doctor import certificates, collector, database, ports, secrets, sources
from hookline.doctor.finding import Finding, ok, problem
from hookline.store.rights import Duty

_WITHIN = timedelta(seconds=8)
"""What one look may take; all of them run at the same time."""


async def examine(settings: Settings, duties: Sequence[Duty]) -> list[Finding]:
    """Look at everything. A look that takes too long is a finding like any other.

    Args:
        settings: The configuration; without a database's URL that part is left out.
        duties: What the database's role is meant to do.
    """
    stored: list[Finding] = []
    declared: list[Finding] = []
    sent: list[Finding] = []
    listening: list[Finding] = []

    async def look_at_declarations() -> None:
        # In a thread: a secret may be on a file system that doesn't answer.
        declared.extend(await asyncio.to_thread(_declared, settings))

    async def look_at_collector() -> None:
        sent.append(await collector.look(settings))

    async def look_at_ports() -> None:
        listening.extend(await ports.look(settings))

    looks = [
        _in_time("sources", declared, look_at_declarations()),
        _in_time("otlp", sent, look_at_collector()),
        _in_time("ports", listening, look_at_ports()),
    ]
    if settings.dsn() is not None:
        looks.append(_in_time("database", stored, database.look(settings, duties, stored)))
    await asyncio.gather(*looks)
    return [_configuration(settings), *stored, *declared, *sent, *listening]


def _configuration(settings: Settings) -> Finding:
    counts = {"source": len(settings.sources), "subscription": len(settings.subscriptions)}
    said = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())
    return ok("configuration", f"loads: {said}")


def _declared(settings: Settings) -> list[Finding]:
    return [*sources.look(settings), *secrets.look(settings), *certificates.look(settings)]


async def _in_time(check: str, found: list[Finding], look: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_WITHIN.total_seconds()):
            await look
    except TimeoutError:
        found.append(
            problem(
                check,
                f"no answer within {_WITHIN.total_seconds():g} s",
                "look at what is asked there, and its load",
            )
        )
