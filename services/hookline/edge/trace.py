"""The spans of one request: SERVER, persist, and the PRODUCER whose context the event carries."""

from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context

from hookline.edge.answers import Answer
from hookline.edge.schemes.incoming import Headers
from hookline.telemetry.context import decode, encode, unsampled
from hookline.telemetry.tracing import Tracing

_SERVER_ERROR = 500


class RequestTrace:
    """What is traced of one request. This base class is the unsampled one: it makes no span."""

    __slots__ = ("traceparent",)

    def __init__(self) -> None:
        self.traceparent = unsampled()
        """What the event carries on its way."""

    def identified(self, event_id: UUID, type_: str, size: int) -> None:
        """The webhook verified: from here on it is an event."""

    def fail(self, error: Exception) -> None:
        """The commit failed."""

    def end(self, answer: Answer) -> None:
        """The request is answered."""

    def end_without_answer(self) -> None:
        """The client went away."""


class SampledRequestTrace(RequestTrace):
    """Records the spans."""

    __slots__ = ("_create", "_persist", "_server", "_source", "_tracing")

    def __init__(self, tracing: Tracing, source: str, headers: Headers) -> None:
        self._tracing = tracing
        self._source = source
        # A new root: the sender's context is untrusted, so it is linked and never continued.
        inbound = decode(dict(headers).get(b"traceparent", b"").decode("latin-1"))
        self._server = tracing.tracer.start_span(
            "POST /v1/webhooks/{source}",
            context=Context(),
            kind=SpanKind.SERVER,
            links=[Link(inbound)] if inbound else [],
            attributes={
                "http.request.method": "POST",
                "http.route": "/v1/webhooks/{source}",
                "hookline.source": source,
            },
        )
        self._create: Span | None = None
        self._persist: Span | None = None
        self.traceparent = encode(self._server.get_span_context())

    def identified(self, event_id: UUID, type_: str, size: int) -> None:
        """Start the spans of the commit."""
        below = set_span_in_context(self._server, Context())
        self._persist = self._tracing.tracer.start_span("persist", context=below)
        self._create = self._tracing.tracer.start_span(
            f"create {self._source}",
            context=below,
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "hookline",
                "messaging.operation.name": "create",
                "messaging.operation.type": "create",
                "messaging.destination.name": self._source,
                "messaging.message.id": str(event_id),
                "messaging.message.body.size": size,
                "hookline.event.type": type_,
            },
        )
        self.traceparent = encode(self._create.get_span_context())

    def fail(self, error: Exception) -> None:
        """Mark the commit as failed."""
        if self._persist is not None:
            self._persist.set_status(Status(StatusCode.ERROR, str(error)))

    def end(self, answer: Answer) -> None:
        """End all spans."""
        for span in (self._persist, self._create):
            if span is not None:
                span.set_attribute("hookline.outcome", answer.outcome)
                span.end()
        self._server.set_attribute("http.response.status_code", answer.status)
        self._server.set_attribute("hookline.outcome", answer.outcome)
        if answer.status >= _SERVER_ERROR:
            self._server.set_status(Status(StatusCode.ERROR))
        self._server.end()

    def end_without_answer(self) -> None:
        """End the server's span: there is nothing else yet."""
        self._server.set_status(Status(StatusCode.ERROR, "the client went away"))
        self._server.end()


class Traces:
    """Starts the trace of each request, recorded or not."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def start(self, source: str, headers: Headers) -> RequestTrace:
        """Start the trace of one request. `source` is "" where it is unknown: names must stay few."""
        if self._tracing.samples_root():
            return SampledRequestTrace(self._tracing, source or "unknown", headers)
        return RequestTrace()
