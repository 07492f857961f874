"""What was sent against what was received: lost, unexpected, out of order, twice."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from chaos.consumers import Entry
from path.rig.database import connect


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one subscription."""

    lost: set[str]
    """Sent, and not received by anybody who acks."""
    unexpected: set[str]
    inversions: list[tuple[str, str, str]]
    """Key, and two events of it of which the later was received first."""
    duplicates: int
    """Receipts beyond the first of each event, by those who ack."""
    after_confirmation: list[str]
    """Received again after their confirmation."""

    def check(self, seed: int, *, ordered: bool) -> None:
        """Fail, with the seed, unless all is accounted for."""
        assert not self.lost, (seed, self)
        assert not self.unexpected, (seed, self)
        assert not self.after_confirmation, (seed, self)
        assert not self.inversions or not ordered, (seed, self)


async def balance(
    dsn: str, sent: Iterable[str], journals: Iterable[Iterable[Entry]], subscription: str
) -> Ledger:
    """Compare all journals with what was sent and with the log, whose order is the order of keys."""
    async with connect(dsn) as connection:
        rows = await connection.fetch("SELECT event_id, ordering_key FROM hookline.outbox ORDER BY seq")
    keys = {str(row["event_id"]): row["ordering_key"] for row in rows}
    place = {event_id: number for number, event_id in enumerate(keys)}
    assert set(sent) == set(keys), "the log isn't what was sent"
    first_seen: dict[str, int] = {}
    confirmed: dict[str, int] = {}
    received: Counter[str] = Counter()
    after_confirmation: list[str] = []
    entries = [entry for journal in journals for entry in journal if entry.subscription == subscription]
    for entry in sorted(entries):
        match entry.kind:
            case "received" | "held":
                first_seen.setdefault(entry.event_id, entry.at)
                received[entry.event_id] += entry.kind == "received"
                if entry.event_id in confirmed:
                    after_confirmation.append(entry.event_id)
            case "confirmed":
                confirmed.setdefault(entry.event_id, entry.at)
    acked = {event_id for event_id, times in received.items() if times}
    inversions = []
    last: dict[str, str] = {}
    for event_id in first_seen:  # in order of their first receipt
        if event_id not in keys:
            continue
        before = last.setdefault(keys[event_id], event_id)
        if place[event_id] < place[before]:
            inversions.append((keys[event_id], event_id, before))
        else:
            last[keys[event_id]] = event_id
    return Ledger(
        lost=set(keys) - acked,
        unexpected=set(first_seen) - set(keys),
        inversions=inversions,
        duplicates=received.total() - len(acked),
        after_confirmation=after_confirmation,
    )
