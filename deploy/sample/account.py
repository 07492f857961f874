"""Whether it all adds up: what was sent, what Hookline has stored, and what the consumers did."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import asyncpg

from hookline.simulator.tally import Tally

_STORED = """
SELECT e.id, e.seq, e.type, e.ordering_key
  FROM unnest($1::uuid[]) AS wanted (id)
  JOIN hookline.events AS e USING (id)
  JOIN hookline.outbox AS o ON o.shard = e.shard AND o.seq = e.seq AND o.event_id = e.id"""
_DEAD = "SELECT count(*) FROM hookline.deliveries WHERE state = 'dead' AND event_id = ANY ($1)"
_ACTED_ON = "SELECT subscription, event_id, number, repeats FROM decisions WHERE event_id = ANY ($1)"

SUBSCRIPTIONS = {"crm": "", "decisioning": "_score.complete"}
"""Those of deploy/compose/hookline.toml, and how the types end that each of them wants."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event in Hookline's ledger and log."""

    seq: int
    type: str
    ordering_key: str


@dataclass(frozen=True, slots=True)
class Act:
    """What a consumer did about an event."""

    number: int
    """Its place among all that this consumer did."""
    repeats: int


@dataclass(frozen=True, slots=True)
class Sum:
    """One line of the account."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Account:
    """The events of one run, where they have to be."""

    tally: Tally
    stored: Mapping[UUID, Stored]
    dead: int
    acts: Mapping[str, Mapping[UUID, Act]]
    """By subscription."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to be waited for."""
        return all(self._missing(subscription) == 0 for subscription in SUBSCRIPTIONS)

    def sums(self) -> Iterator[Sum]:
        """The lines that have to hold."""
        tally = self.tally
        yield Sum(
            f"sent {tally.sent} = accepted {tally.accepted} + duplicate {tally.duplicate}"
            f" + refused {tally.refused}, and {tally.failed} failed",
            tally.sent == tally.accepted + tally.duplicate + tally.refused,
        )
        confirmed = tally.event_ids
        yield Sum(
            f"stored {len(self.stored)} = confirmed to the provider {len(confirmed)}",
            set(self.stored) == confirmed,
        )
        for subscription in SUBSCRIPTIONS:
            wanted, acts = self._wanted(subscription), self.acts[subscription]
            yield Sum(
                f"{subscription}: acted on {len(acts)} = wanted {len(wanted)},"
                f" lost {self._missing(subscription)}, unwanted {len(acts.keys() - wanted.keys())}"
                f" (delivered again {sum(act.repeats for act in acts.values())} times, without effect)",
                acts.keys() == wanted.keys(),
            )
            wrong = self._inversions(subscription)
            yield Sum(f"{subscription}: out of order {wrong}", wrong == 0)
        yield Sum(f"dead letters {self.dead}", self.dead == 0)

    def _wanted(self, subscription: str) -> dict[UUID, Stored]:
        ending = SUBSCRIPTIONS[subscription]
        return {id_: event for id_, event in self.stored.items() if event.type.endswith(ending)}

    def _missing(self, subscription: str) -> int:
        return len(self._wanted(subscription).keys() - self.acts[subscription].keys())

    def _inversions(self, subscription: str) -> int:
        """How often an event was acted on before an earlier one of its applicant."""
        acts = self.acts[subscription]
        done = [
            (event.ordering_key, acts[id_].number, event.seq)
            for id_, event in self.stored.items()
            if id_ in acts
        ]
        return sum(
            one_key == other_key and one_seq > other_seq
            for (one_key, _, one_seq), (other_key, _, other_seq) in pairwise(sorted(done))
        )


async def take(tally: Tally, hookline: asyncpg.Connection, consumers: asyncpg.Connection) -> Account:
    """Look at where the events of a run are now."""
    ids = list(tally.event_ids)
    stored = {
        _uuid(row["id"]): Stored(row["seq"], row["type"], row["ordering_key"])
        for row in await hookline.fetch(_STORED, ids)
    }
    acts: dict[str, dict[UUID, Act]] = {subscription: {} for subscription in SUBSCRIPTIONS}
    for row in await consumers.fetch(_ACTED_ON, ids):
        acts[row["subscription"]][_uuid(row["event_id"])] = Act(row["number"], row["repeats"])
    return Account(tally, stored, await hookline.fetchval(_DEAD, ids), acts)


def _uuid(value: UUID) -> UUID:
    """Asyncpg's own kind of UUID as Python's, which compares and prints alike everywhere."""
    return UUID(bytes=value.bytes)
