"""Trace contexts as they travel: W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/)."""

import re
from random import getrandbits

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def unsampled() -> str:
    """A new traceparent that nobody records: its ids still tie log lines and consumers together."""
    # Bit 0 is set so that no id is the forbidden zero.
    return f"00-{getrandbits(128) | 1:032x}-{getrandbits(64) | 1:016x}-00"


def is_sampled(traceparent: str) -> bool:
    """Whether a traceparent that Hookline wrote asks for spans."""
    return traceparent.endswith("1")


def encode(context: SpanContext) -> str:
    """A span's context as a traceparent."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def decode(traceparent: str) -> SpanContext | None:
    """Read a traceparent; None if it isn't one."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    context = SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16) & TraceFlags.SAMPLED),
        trace_state=TraceState(),
    )
    return context if context.is_valid else None


def parent(traceparent: str) -> Context:
    """The context in which a span becomes the child of a remote one; a new root if there is none."""
    remote = decode(traceparent)
    return Context() if remote is None else set_span_in_context(NonRecordingSpan(remote), Context())
