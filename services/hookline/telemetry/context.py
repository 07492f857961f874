"""Trace contexts as they travel: W3C Trace Context (https://www.w3.org/TR/trace-context/)."""

import re
from random import getrandbits

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"{_KEY}={_VALUE}")
_MOST_MEMBERS = 32
_LONGEST_STATE = 512
"""Characters that everybody has to pass on; what is longer comes from nobody we need to know."""


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


def decode(traceparent: str, tracestate: str = "") -> SpanContext | None:
    """Read a context that somebody sent; None if the traceparent isn't one.

    A tracestate that isn't well-formed is left out, and nothing of it is logged, as OpenTelemetry's own reader would.
    """
    match = _TRACEPARENT.fullmatch(traceparent)
    # Versions to come may say more behind the flags; "ff" is none (section 3.2.2).
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    context = SpanContext(
        trace_id=int(match[2], 16),
        span_id=int(match[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[4], 16) & TraceFlags.SAMPLED),
        trace_state=_state(tracestate) if tracestate else TraceState(),
    )
    return context if context.is_valid else None


def parent(traceparent: str, tracestate: str = "") -> Context:
    """The context in which a span becomes the child of a remote one; a new root if there is none."""
    return below(decode(traceparent, tracestate))


def below(remote: SpanContext | None) -> Context:
    """The context in which a span becomes the child of `remote`; a new root if it is None."""
    return Context() if remote is None else set_span_in_context(NonRecordingSpan(remote), Context())


def link(remote: SpanContext | None) -> list[Link]:
    """The links of a span that goes with a remote one: to that, or none if it is None.

    OpenTelemetry's exporter (1.45) leaves out the tracestate of a link, so it is an attribute too.
    """
    if remote is None:
        return []
    state = remote.trace_state.to_header()
    return [Link(remote, {"hookline.tracestate": state} if state else None)]


def _state(header: str) -> TraceState:
    members = [member.strip(" \t") for member in header.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    if (
        len(header) > _LONGEST_STATE
        or len(keys) < len(members)
        or len(members) > _MOST_MEMBERS
        or not all(_MEMBER.fullmatch(member) for member in members)
    ):
        return TraceState()
    return TraceState([(key, value) for key, _, value in (member.partition("=") for member in members)])
