"""Whether the edge can take webhooks, for load balancers and for people."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

import structlog
from starlette.types import Receive, Scope, Send

from hookline.edge import answers
from hookline.edge.answers import Answer
from hookline.edge.intake import Intake
from hookline.errors import DatabaseUnavailable, StatementRefused
from hookline.status.check import Check
from hookline.store.probe import probe
from hookline.store.session import Session

_log = structlog.get_logger(__name__)

HEALTHY = Answer(200, b'{"status":"alive"}')
_READY = Answer(200, b'{"status":"ready"}')
_UNAVAILABLE = Answer(503, b'{"status":"unavailable","detail":"the database can\'t be reached"}')
_NOT_RUNNING = Answer(503, b'{"status":"unavailable","detail":"the edge isn\'t running"}')
_DRAINING = Answer(503, b'{"status":"draining","detail":"the edge is about to stop"}')
_EVERY = 1.0
"""Seconds between two looks at the database."""
_WITHIN = timedelta(seconds=2)
_PATIENCE = 5.0
"""Seconds that a database may be away before webhooks are sent elsewhere: a failover is shorter, and every edge of the
same database would say the same."""


class Health:
    """What an edge knows of itself."""

    def __init__(self) -> None:
        self.intake: Intake | None = None
        """None while the edge isn't running."""
        self.is_draining = False
        """Set as soon as the process is told to stop, while it still takes webhooks."""
        self._reached_at = monotonic()

    def __repr__(self) -> str:
        return f"<Health {self.answer().status}>"

    async def watch(self, session: Session) -> None:
        """Look at the database until cancelled: who has nothing to commit would not notice that it is away.

        Args:
            session: For this alone; closed at the end.
        """
        self._reached_at = monotonic()  # its shards were read a moment ago
        told, trouble = True, ""
        try:
            while True:
                try:
                    await probe(session, within=_WITHIN)
                except (DatabaseUnavailable, StatementRefused) as error:
                    trouble = str(error)
                else:
                    self._reached_at = monotonic()
                if self._is_reached is not told:
                    told = self._is_reached
                    if told:
                        _log.info("database found again; webhooks are welcome")
                    else:
                        _log.warning("database lost; webhooks are sent elsewhere", reason=trouble)
                await asyncio.sleep(_EVERY)
        finally:
            await session.close()

    @property
    def _is_reached(self) -> bool:
        return monotonic() - self._reached_at < _PATIENCE

    @property
    def _can_commit(self) -> bool:
        return self.intake is not None and self.intake.is_available and self._is_reached

    def answer(self) -> Answer:
        """What `/readyz` says to everybody, and no more."""
        if self.is_draining:
            return _DRAINING
        if self.intake is None:
            return _NOT_RUNNING
        return _READY if self._can_commit else _UNAVAILABLE

    def checks(self) -> Sequence[Check]:
        """What the status address says."""
        is_running = self.intake is not None
        can_commit = self._can_commit
        return (
            Check("intake", is_running, "takes webhooks" if is_running else "is starting, or has stopped"),
            Check(
                "database",
                can_commit,
                "events can be committed" if can_commit else "the database can't be reached",
            ),
            Check(
                "draining",
                not self.is_draining,
                "about to stop" if self.is_draining else "not told to stop",
            ),
        )


class HealthEndpoint:
    """Answers a question about health, as an ASGI application. HEAD is answered too: the server leaves the body out.

    Args:
        answer: Asked each time.
    """

    def __init__(self, answer: Callable[[], Answer]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        asks = scope["method"] in ("GET", "HEAD")
        await (self._answer() if asks else answers.ASKED_WITH_GET).send(send)
