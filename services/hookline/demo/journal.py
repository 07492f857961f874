"""What happened to each webhook of the demo, hop by hop."""

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from hookline.simulator.answer import Answer

CRM = "crm"
"""A subscription to everything."""
DECISIONING = "decisioning"
"""A subscription to scores alone."""


def wants(subscription: str, event_type: str) -> bool:
    """Whether a subscription of the demo gets events of this type."""
    return subscription == CRM or event_type.endswith("_score.complete")


@dataclass(slots=True)
class Entry:
    """One webhook: how the edge answered it, and when its event was handed over and acked."""

    answer: Answer
    sent_at: float
    acked_at: dict[str, float] = field(default_factory=dict)
    """By subscription; seconds on the monotonic clock."""

    @property
    def is_accepted(self) -> bool:
        """Whether it made an event, which then has to be delivered."""
        return self.answer.status == "accepted"

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will happen to it."""
        wanting = (s for s in (CRM, DECISIONING) if wants(s, self.answer.item.event_type))
        return not self.is_accepted or all(subscription in self.acked_at for subscription in wanting)


class Journal:
    """Puts answers and deliveries together, whichever comes first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.deliveries: dict[str, Counter[UUID]] = {CRM: Counter(), DECISIONING: Counter()}
        """How often each event was delivered, by subscription."""
        self._accepted: dict[UUID, Entry] = {}
        self._acked: dict[tuple[str, UUID], float] = {}

    def answered(self, answer: Answer) -> list[Entry]:
        """Note the edge's answer; answers the entries that are complete now."""
        entry = Entry(answer, sent_at=monotonic() - answer.elapsed.total_seconds())
        self.entries.append(entry)
        if entry.is_accepted and answer.event_id is not None:
            self._accepted[answer.event_id] = entry
            for subscription in self.deliveries:
                if (at := self._acked.get((subscription, answer.event_id))) is not None:
                    entry.acked_at[subscription] = at
        return [entry] if entry.is_complete else []

    def acked(self, subscription: str, event_id: UUID) -> list[Entry]:
        """Note a confirmed ack; answers the entries that are complete now."""
        self.deliveries[subscription][event_id] += 1
        self._acked[subscription, event_id] = monotonic()
        entry = self._accepted.get(event_id)
        if entry is None or subscription in entry.acked_at:
            return []
        entry.acked_at[subscription] = self._acked[subscription, event_id]
        return [entry] if entry.is_complete else []

    @property
    def is_complete(self) -> bool:
        """Whether nothing is under way."""
        return all(entry.is_complete for entry in self.entries)
