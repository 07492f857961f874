"""One wide log line for each webhook."""

from datetime import UTC, datetime
from time import perf_counter
from uuid import UUID

from hookline.edge.answers import Answer
from hookline.edge.http_method import told
from hookline.edge.observation import Request
from hookline.telemetry.context import is_sampled
from hookline.telemetry.logs import wide_line_writer
from hookline.telemetry.wide_line import Choice, WideLine

_FAILURE = 400
"""Lowest status of a request that failed."""
_OWN_FAILURE = 500
"""Lowest status of a failure that is ours."""
_LONGEST_TYPE = 200


class WebhookLine(WideLine, kw_only=True):
    """What is known of a webhook; docs/logging.md says what each field means."""

    source: str
    outcome: str
    status: int | None = None
    method: str
    client: str
    type: str | None = None
    event_id: UUID | None = None
    bytes: int | None = None
    duration_ms: float
    trace_id: str
    span_id: str
    sampled: bool


class WebhookLines:
    """Writes them.

    Args:
        choice: Which of them.
    """

    def __init__(self, choice: Choice = "all") -> None:
        write = wide_line_writer()
        self._write = write
        self._lowest_status = {"all": 0, "failures": _FAILURE, "none": None}[choice] if write else None

    def answered(self, request: Request, answer: Answer) -> None:
        """Write the line of a request that was answered."""
        if self._lowest_status is not None and answer.status >= self._lowest_status:
            self._tell(request, answer.outcome, answer.status)

    def abandoned(self, request: Request) -> None:
        """Write the line of a request whose client went away."""
        if self._lowest_status is not None:
            self._tell(request, "abandoned", None)

    def _tell(self, request: Request, outcome: str, status: int | None) -> None:
        assert self._write is not None, "or there is no lowest status"
        traceparent = request.trace.traceparent
        event_id = request.event_id
        self._write(
            WebhookLine(
                timestamp=datetime.now(UTC),
                # What others do wrong is no reason to wake somebody.
                level="warning" if status is not None and status >= _OWN_FAILURE else "info",
                event="webhook",
                source=request.source,
                outcome=outcome,
                method=told(request.method),
                client=request.client,
                duration_ms=int((perf_counter() - request.started) * 1e6) / 1e3,
                trace_id=traceparent[3:35],
                span_id=traceparent[36:52],
                sampled=is_sampled(traceparent),
                status=status,
                event_id=event_id,
                type=request.type[:_LONGEST_TYPE] if event_id is not None else None,
                bytes=request.size if event_id is not None else None,
            )
        )
