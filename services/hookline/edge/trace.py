"""The spans of one request: SERVER, persist, and the PRODUCER whose context the event carries."""

from time import perf_counter, time_ns
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue
from starlette.types import Scope

from hookline.edge.answers import Answer
from hookline.edge.http_method import OTHER, told
from hookline.edge.schemes.incoming import Headers
from hookline.telemetry.context import decode, encode, link, unsampled
from hookline.telemetry.tracing import Tracing

_ROUTE = "/v1/webhooks/{source}"
_SERVER_ERROR = 500


class RequestTrace:
    """What is traced of one request. This base class is the one that makes no span."""

    __slots__ = ("traceparent",)

    persist: Span | None = None
    """The span of the event's commit, while there is one."""

    def __init__(self) -> None:
        self.traceparent = unsampled()
        """What the event carries on its way."""

    def identified(self, event_id: UUID, type_: str, size: int) -> None:
        """The webhook verified: from here on it is an event."""

    def fail(self, error: Exception) -> None:
        """The commit failed."""

    def end(self, answer: Answer, *, started: float) -> None:
        """The request is answered. It began at `started`, by `perf_counter`."""

    def end_without_answer(self, *, started: float) -> None:
        """The client went away."""


class UnsampledRequestTrace(RequestTrace):
    """Makes no span, unless the request fails: failures are recorded, as far as they aren't too many."""

    __slots__ = ("_event_id", "_scope", "_source", "_tracing")

    def __init__(self, tracing: Tracing, source: str, scope: Scope) -> None:
        self.traceparent = unsampled()
        self._tracing = tracing
        self._source = source
        self._scope = scope
        self._event_id: UUID | None = None

    def identified(self, event_id: UUID, type_: str, size: int) -> None:  # noqa: ARG002
        """Keep the id, in case that the commit fails."""
        self._event_id = event_id

    def end(self, answer: Answer, *, started: float) -> None:
        """Record a failure of ours."""
        if answer.status >= _SERVER_ERROR and self._tracing.samples_failure():
            server = self._record(started)
            _conclude(server, answer)
            server.end()

    def end_without_answer(self, *, started: float) -> None:
        """Record that nobody waited for the answer."""
        if self._tracing.samples_failure():
            server = self._record(started)
            _abandon(server)
            server.end()

    def _record(self, started: float) -> Span:
        """The server's span, begun when the request did."""
        attributes: dict[str, AttributeValue] = {}
        if self._event_id is not None:
            attributes["messaging.message.id"] = str(self._event_id)
        server = _serve(
            self._tracing,
            self._source,
            self._scope,
            # What was stored, should the commit have happened after all, carries the context that nobody recorded.
            also=decode(self.traceparent),
            attributes=attributes,
            start_time=time_ns() - int((perf_counter() - started) * 1e9),
        )
        self.traceparent = encode(server.get_span_context())
        return server


class SampledRequestTrace(RequestTrace):
    """Records the spans."""

    __slots__ = ("_create", "_server", "_source", "_tracing", "persist")

    def __init__(self, tracing: Tracing, source: str, scope: Scope) -> None:
        self._tracing = tracing
        self._source = source
        self._server = _serve(tracing, source, scope)
        self._create: Span | None = None
        self.persist = None
        self.traceparent = encode(self._server.get_span_context())

    def identified(self, event_id: UUID, type_: str, size: int) -> None:
        """Start the spans of the commit."""
        below = set_span_in_context(self._server, Context())
        self.persist = self._tracing.tracer.start_span("persist", context=below)
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
        """Say what kind of error ended the commit; its text stays out."""
        if self.persist is not None:
            self.persist.set_attribute("error.type", type(error).__name__)

    def end(self, answer: Answer, *, started: float) -> None:  # noqa: ARG002
        """End all spans."""
        for span in (self.persist, self._create):
            if span is not None:
                span.set_attribute("hookline.outcome", answer.outcome)
                if answer.status >= _SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)
                span.end()
        _conclude(self._server, answer)
        self._server.end()

    def end_without_answer(self, *, started: float) -> None:  # noqa: ARG002
        """End the server's span: there is nothing else yet."""
        _abandon(self._server)
        self._server.end()


class Traces:
    """Starts the trace of each request, recorded or not."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def start(self, source: str, scope: Scope) -> RequestTrace:
        """Start the trace of one request. `source` is "" where it is unknown: names must stay few."""
        if self._tracing.samples_root():
            return SampledRequestTrace(self._tracing, source, scope)
        if self._tracing.is_exporting:
            return UnsampledRequestTrace(self._tracing, source, scope)
        return RequestTrace()


def _serve(
    tracing: Tracing,
    source: str,
    scope: Scope,
    *,
    also: SpanContext | None = None,
    attributes: dict[str, AttributeValue] | None = None,
    start_time: int | None = None,
) -> Span:
    """Start the server's span.

    A new root: the sender's context is untrusted, so it is linked and never continued. So is the context in `also`.
    """
    method = told(scope["method"])
    known = method != OTHER
    attributes = {
        "http.request.method": method,
        "http.route": _ROUTE,
        "url.scheme": scope["scheme"],
        "hookline.source": source or "unknown",
        **(attributes or {}),
    }
    if not known:
        attributes["http.request.method_original"] = scope["method"]
    if source:  # of an unknown one it is any text
        attributes["url.path"] = _ROUTE.format(source=source)
    return tracing.tracer.start_span(
        f"{method if known else 'HTTP'} {_ROUTE}",
        context=Context(),
        kind=SpanKind.SERVER,
        links=link(_inbound(scope["headers"])) + link(also),
        attributes=attributes,
        start_time=start_time,
    )


def _inbound(headers: Headers) -> SpanContext | None:
    """The sender's context, if it sent one; baggage is not looked at."""
    traceparents = [value for name, value in headers if name == b"traceparent"]
    if len(traceparents) != 1:
        return None
    tracestates = [value for name, value in headers if name == b"tracestate"]
    return decode(traceparents[0].decode("latin-1"), b",".join(tracestates).decode("latin-1"))


def _conclude(server: Span, answer: Answer) -> None:
    server.set_attribute("http.response.status_code", answer.status)
    server.set_attribute("hookline.outcome", answer.outcome)
    if answer.status >= _SERVER_ERROR:
        server.set_attribute("error.type", str(answer.status))
        server.set_status(StatusCode.ERROR)


def _abandon(server: Span) -> None:
    server.set_attribute("hookline.outcome", "abandoned")
    server.set_attribute("error.type", "client_disconnected")
    server.set_status(StatusCode.ERROR)
