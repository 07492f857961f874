"""What is told of each request: its trace, what it counts in the metrics, and its log line."""

from time import perf_counter
from typing import Protocol
from uuid import UUID

from starlette.types import Scope

from hookline.edge.answers import Answer
from hookline.edge.trace import RequestTrace, Traces


class Request:
    """What is known of one request, to be told when it ends."""

    __slots__ = ("client", "event_id", "method", "size", "source", "started", "trace", "type")

    def __init__(self, source: str, method: str, trace: RequestTrace) -> None:
        self.source = source
        """"" if there is none of that name: what counts must stay few."""
        self.method = method
        self.client = ""
        """Address of who sent it, before all trusted proxies; "" for who has none."""
        self.trace = trace
        self.started = perf_counter()
        """In seconds of the clock that never jumps."""
        self.event_id: UUID | None = None
        """Set as soon as the webhook is verified, with the next two."""
        self.type = ""
        self.size = 0
        """Bytes of the body."""

    def identified(self, event_id: UUID, type_: str, size: int) -> None:
        """The webhook verified: from here on it is an event."""
        self.event_id, self.type, self.size = event_id, type_, size
        self.trace.identified(event_id, type_, size)


class Observer(Protocol):
    """Is told how each request ended."""

    def answered(self, request: Request, answer: Answer) -> None:
        """It was answered."""

    def abandoned(self, request: Request) -> None:
        """Its client went away."""


class Observation:
    """Watches all requests of one edge.

    Args:
        traces: Starts their traces.
        observers: Are told how they ended.
    """

    def __init__(self, traces: Traces, *observers: Observer) -> None:
        self._traces = traces
        self._observers = observers

    def begin(self, source: str, scope: Scope) -> Request:
        """A request begins. `source` is "" where it is unknown."""
        return Request(source, scope["method"], self._traces.start(source, scope))

    def answered(self, request: Request, answer: Answer) -> None:
        """It was answered, or is about to be."""
        request.trace.end(answer, started=request.started)
        for observer in self._observers:
            observer.answered(request, answer)

    def abandoned(self, request: Request) -> None:
        """Its client went away."""
        request.trace.end_without_answer(started=request.started)
        for observer in self._observers:
            observer.abandoned(request)
