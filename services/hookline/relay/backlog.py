"""How far behind a subscription is, measured now and then for the consumers' heartbeats."""

import asyncio
import contextlib
from datetime import timedelta

from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.model import SubscriptionName
from hookline.store.log import backlog
from hookline.store.session import Session

_WITHIN = timedelta(seconds=5)


class Backlog:
    """Counts what waits: not read, in some consumer's hands, in trouble."""

    def __init__(self, session: Session, subscription: SubscriptionName, *, every: timedelta) -> None:
        self._session = session
        self._subscription = subscription
        self._every = every.total_seconds()
        self.events = 0
        """As last counted."""

    def __repr__(self) -> str:
        return f"<Backlog {self._subscription} events={self.events}>"

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            # An old number is better than none, and those who need the database complain.
            with contextlib.suppress(DatabaseUnavailable, StatementRefused):
                self.events = await backlog(self._session, self._subscription, within=_WITHIN)
            await asyncio.sleep(self._every)
