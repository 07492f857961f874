"""`[edge]`: the HTTP side."""

from datetime import timedelta

from pydantic import Field

from hookline.config.duration import Duration
from hookline.config.listen_address import ListenAddress
from hookline.config.section import Section


class Edge(Section):
    """`[edge]`: the HTTP side."""

    http: ListenAddress = "127.0.0.1:8080"
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    request_deadline: Duration = timedelta(seconds=10)
    """From the request's headers to its answer."""
    commit_deadline: Duration = timedelta(seconds=5)
    """The longest that one transaction may take before its connection is given up."""
    queue_events: int = Field(default=5_000, ge=1)
    """How many verified events may wait for their commit."""
    queue_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    writers: int = Field(default=2, ge=1, le=64)
    """Connections that commit; each has its own shards."""
