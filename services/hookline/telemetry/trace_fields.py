"""The trace of what a log line is about."""


def trace_fields(traceparent: str) -> dict[str, str]:
    """`trace_id` and `span_id` of a traceparent that Hookline wrote."""
    return {"trace_id": traceparent[3:35], "span_id": traceparent[36:52]}
