"""Whether the edge can take webhooks, for load balancers and for people."""

from collections.abc import Callable, Sequence

from starlette.types import Receive, Scope, Send

from hookline.edge import answers
from hookline.edge.answers import Answer
from hookline.edge.intake import Intake
from hookline.status.check import Check

HEALTHY = Answer(200, b'{"status":"alive"}')
_READY = Answer(200, b'{"status":"ready"}')
_UNAVAILABLE = Answer(503, b'{"status":"unavailable","detail":"the database can\'t be reached"}')
_NOT_RUNNING = Answer(503, b'{"status":"unavailable","detail":"the edge isn\'t running"}')
_DRAINING = Answer(503, b'{"status":"draining","detail":"the edge is about to stop"}')


class Health:
    """What an edge knows of itself."""

    def __init__(self) -> None:
        self.intake: Intake | None = None
        """None while the edge isn't running."""
        self.is_draining = False
        """Set as soon as the process is told to stop, while it still takes webhooks."""

    def __repr__(self) -> str:
        return f"<Health {self.answer().status}>"

    def answer(self) -> Answer:
        """What `/readyz` says to everybody, and no more."""
        if self.is_draining:
            return _DRAINING
        if self.intake is None:
            return _NOT_RUNNING
        return _READY if self.intake.is_available else _UNAVAILABLE

    def checks(self) -> Sequence[Check]:
        """What the status address says."""
        is_running = self.intake is not None
        can_commit = self.intake is not None and self.intake.is_available
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
