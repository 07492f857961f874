"""How one webhook of a run ended, after however many attempts."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import httpx

from hookline.simulator.plan import Item
from hookline.simulator.reply import Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """How one item ended."""

    item: Item
    reply: Reply  # of the last attempt
    attempts: int
    elapsed: timedelta  # from the first attempt's start, waits included

    @property
    def status(self) -> str | None:
        """The edge's word, "accepted" or "duplicate"; None when it confirmed nothing."""
        return None if self.reply.receipt is None else self.reply.receipt.status

    @property
    def event_id(self) -> UUID | None:
        """The event that the edge says it holds."""
        return None if self.reply.receipt is None else self.reply.receipt.event_id

    @property
    def is_revision(self) -> bool:
        """Whether the edge had another body under the same deployment, uid and type."""
        return self.reply.receipt is not None and self.reply.receipt.revision

    @property
    def refused(self) -> bool:
        """Whether the endpoint took the signature for wrong."""
        return self.reply.status == httpx.codes.FORBIDDEN

    @property
    def in_doubt(self) -> bool:
        """Whether an attempt may have been committed without the provider having heard of it."""
        return self.attempts > 1 or self.event_id is None
