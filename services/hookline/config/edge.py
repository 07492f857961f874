"""`[edge]`: the HTTP side."""

from datetime import timedelta

from pydantic import Field

from hookline.config.duration import Duration, DurationOrZero
from hookline.config.listen_address import ListenAddress
from hookline.config.public_url import PublicUrl
from hookline.config.section import Section
from hookline.config.tls import EdgeTls
from hookline.config.trusted_proxy import TrustedProxy


class Edge(Section):
    """`[edge]`: the HTTP side."""

    http: ListenAddress = "127.0.0.1:8080"
    status: ListenAddress | None = None
    """Where `/metrics`, `/healthz` and `/readyz` are answered, for those who watch; such as "127.0.0.1:9464"."""
    public_url: PublicUrl | None = None
    """What providers call, up to the path, such as "https://hooks.example.com": some of them sign it."""
    trusted_proxies: tuple[TrustedProxy, ...] = ()
    """Only who connects from these networks is believed what it says of the client: `X-Forwarded-For`, and, without a
    `public_url`, `X-Forwarded-Proto` and `X-Forwarded-Host`."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    large_body_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """How much of bodies over 64 KiB may be here while they are read, all of them together; beyond it the answer is
    503."""
    request_deadline: Duration = timedelta(seconds=10)
    """From the request's headers to its answer."""
    drain_delay: DurationOrZero = timedelta(0)
    """How long the edge goes on as before when it is told to stop, and only `/readyz` says 503: the time that load
    balancers need to notice, before its port closes."""
    commit_deadline: Duration = timedelta(seconds=5)
    """The longest that one transaction may take before its connection is given up."""
    queue_events: int = Field(default=5_000, ge=1)
    """How many verified events may wait for their commit."""
    queue_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    writers: int = Field(default=2, ge=1, le=64)
    """Connections that commit; each has its own shards."""

    # What the sockets of `hookline edge` hold against. An application that mounts the edge has a server, and limits,
    # of its own.
    max_header_bytes: int = Field(default=64 * 1024, ge=1024, le=1024 * 1024)
    """Request line and headers together; more is answered 431. Not a byte beyond it is kept."""
    max_header_lines: int = Field(default=128, ge=8, le=10_000)
    """Header lines of a request; more are answered 431."""
    max_url_bytes: int = Field(default=8 * 1024, ge=64)
    """Path and query as they are sent; more is answered 414."""
    header_deadline: Duration = timedelta(seconds=10)
    """From a new connection, or from a request's first byte, until its headers are complete: then 408, or just the
    end for who sent nothing."""
    keep_alive: Duration = timedelta(seconds=75)
    """How long an answered connection may stay silent: longer than the proxies that usually stand in front."""
    send_deadline: Duration = timedelta(seconds=10)
    """How long a client may leave its answers unread once they are more than its socket and 16 KiB hold."""
    max_connections: int = Field(default=4096, ge=1)
    """When there are more, one ends that we wait for: an idle one, else the one whose request has been incomplete for
    the longest. When all of them wait for us, a new one is answered 503. Each needs an open file."""
    max_connections_per_address: int | None = Field(default=None, ge=1)
    """The same for one client address, answered 503. Trusted proxies may have more: all clients share their address."""
    tls: EdgeTls | None = None
    """Without it, `http` is spoken in the clear."""
