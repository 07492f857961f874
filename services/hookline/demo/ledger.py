"""Whether it all adds up: what was sent, what is stored, what was delivered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hookline.demo.journal import Journal, wants
from hookline.simulator.tally import Tally
from hookline.store.session import Session

_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Sum:
    """One equation of the ledger."""

    text: str
    holds: bool


async def stored_events(database_url: str) -> frozenset[UUID]:
    """Every event id in Hookline's own ledger that is in the outbox too."""
    session = Session(database_url, name="demo")
    try:
        rows = await session.fetch(
            "SELECT e.id FROM hookline.events AS e"
            " JOIN hookline.outbox AS o ON o.shard = e.shard AND o.seq = e.seq AND o.event_id = e.id",
            within=_WITHIN,
        )
    finally:
        await session.close()
    return frozenset(UUID(bytes=row["id"].bytes) for row in rows)


def sums(tally: Tally, journal: Journal, stored: frozenset[UUID]) -> Iterator[Sum]:
    """The equations that have to hold."""
    yield Sum(
        f"sent {tally.sent} = accepted {tally.accepted} + duplicate {tally.duplicate} + refused {tally.refused}",
        tally.sent == tally.accepted + tally.duplicate + tally.refused,
    )
    yield Sum(f"stored {len(stored)} = accepted {tally.accepted}", stored == tally.event_ids)
    types = {e.answer.event_id: e.answer.item.event_type for e in journal.entries if e.is_accepted}
    for subscription, delivered in journal.deliveries.items():
        wanted = {event_id for event_id, type_ in types.items() if event_id and wants(subscription, type_)}
        which = "accepted" if len(wanted) == len(types) else "accepted scores"
        yield Sum(
            f"{subscription}: delivered {delivered.total()} = {which} {len(wanted)}, each once",
            set(delivered) == wanted and delivered.total() == len(wanted),
        )
