"""The bounded queue between requests and the writers that commit."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from opentelemetry.trace import NoOpTracer, Span, Tracer

from hookline.edge.writer import Writer
from hookline.errors import IntakeUnavailable
from hookline.model import NewEvent, Outcome
from hookline.store.session import Session


class Intake:
    """Takes verified events and answers when they are committed.

    Each writer has its own shards, so writers never wait for one another's locks.

    Args:
        dsn: Where to commit.
        writers: How many connections commit at the same time.
        max_events: How many events may wait, those being committed included.
        max_bytes: How many bytes of bodies may wait.
        commit_deadline: The longest that one transaction may take.
        on_commit: Called after each commit with its number of events, and the seconds that it took.
        tracer: Records the commits of traced events.
    """

    def __init__(
        self,
        dsn: str,
        *,
        writers: int,
        max_events: int,
        max_bytes: int,
        commit_deadline: timedelta,
        on_commit: Callable[[int, float], None],
        tracer: Tracer | None = None,
    ) -> None:
        self._sessions = [Session(dsn, name=f"edge writer {number}") for number in range(writers)]
        self._writers = [
            Writer(session, tracer or NoOpTracer(), commit_deadline=commit_deadline, on_commit=on_commit)
            for session in self._sessions
        ]
        self._max_events = max_events
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"<Intake max_events={self._max_events} max_bytes={self._max_bytes} {self._writers}>"

    @property
    def is_available(self) -> bool:
        """Whether events can be committed, as far as is known."""
        return all(writer.is_available for writer in self._writers)

    @property
    def held_events(self) -> int:
        """Events that wait or are being committed."""
        return sum([writer.held_events for writer in self._writers])

    @property
    def held_bytes(self) -> int:
        """Bytes of their bodies."""
        return sum([writer.held_bytes for writer in self._writers])

    async def commit(self, event: NewEvent, span: Span | None = None) -> Outcome:
        """Queue an event and wait until it is committed. `span` is that of its commit, if it is traced.

        Raises:
            IntakeUnavailable: The queue is full or the database away; whether the event was committed is unknown.
        """
        size = len(event.body)
        writer = self._writers[event.shard % len(self._writers)]
        if not writer.is_available:
            raise IntakeUnavailable("the database can't be reached")
        held_events, held_bytes = self.held_events, self.held_bytes
        if held_events >= self._max_events or (held_events and held_bytes + size > self._max_bytes):
            raise IntakeUnavailable("too many events are waiting for their commit")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        writer.add((event, future, span))
        return await future

    async def run(self) -> None:
        """Commit until cancelled, then close the connections."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for writer in self._writers:
                    tasks.create_task(writer.run())
        finally:
            for session in self._sessions:
                await session.close()
