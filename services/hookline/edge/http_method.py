"""The method of a request, as it may be told: a sender can make up any text."""

_KNOWN = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Those that the semantic conventions know (`http.request.method`)."""
OTHER = "_OTHER"
"""What they call all others."""


def told(method: str) -> str:
    """The method, or what stands for one that HTTP doesn't define."""
    return method if method in _KNOWN else OTHER
