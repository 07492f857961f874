"""What the database holds, beside what was answered."""

from typing import Any

from edge.provider import Answer


async def rows(connection: Any) -> tuple[int, int]:
    """How many events and outbox rows there are."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM hookline.events), (SELECT count(*) FROM hookline.outbox)"
    )
    return row[0], row[1]


async def missing(connection: Any, answers: list[Answer]) -> set[str]:
    """Event ids that were answered 200 and aren't both in the ledger and in the outbox."""
    told = {answer.json["event_id"] for answer in answers if answer.status == 200}
    stored = await connection.fetch(
        "SELECT e.id::text FROM hookline.events AS e"
        " JOIN hookline.outbox AS o ON o.shard = e.shard AND o.seq = e.seq AND o.event_id = e.id"
    )
    return told - {row[0] for row in stored}
