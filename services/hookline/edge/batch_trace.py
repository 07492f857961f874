"""The span of a transaction that many requests share: `commit batch`, to which each one's `persist` is linked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer


@contextmanager
def batch_span(tracer: Tracer, persists: Sequence[Span], *, events: int) -> Iterator[None]:
    """Record one try to commit a batch.

    A root of its own, as it belongs to no trace more than to another. Each `persist` is linked to it, one link per
    try, and it to none of them: a span with hundreds of links is no help.

    Args:
        tracer: Records it.
        persists: Those of the batch's sampled events. Without any, there is no span.
        events: How many are in the batch.
    """
    if not persists:
        yield
        return
    span = tracer.start_span(
        "commit batch",
        context=Context(),
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.stored_procedure.name": "hookline.ingest",
            "messaging.system": "hookline",
            "messaging.batch.message_count": events,
        },
    )
    for persist in persists:
        if persist.is_recording():  # its request may have given up
            persist.add_link(span.get_span_context())
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()
