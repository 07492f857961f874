"""What the bench and its load generator tell each other: a JSON object per line."""

from typing import Literal

from msgspec import Struct


class Plan(Struct, frozen=True, kw_only=True):
    """First line to the load generator: what to make before any clock starts. It answers with a `Ready`."""

    port: int
    path: str
    api_key: str
    run: str
    """Up to 12 alphanumerics that set this plan's webhooks apart from all others."""
    requests: int
    connections: int
    keys: int = 0
    """How many ordering keys the webhooks share; 0 gives each a key of its own."""
    repeat: bool = False
    """Start over when the requests are used up. Only for a server that doesn't care."""


class Ready(Struct, frozen=True):
    """The requests are made and signed, the connections are open."""

    requests: int


class Offer(Struct, frozen=True, kw_only=True):
    """Offer load now. The load generator answers with an `Outcome`."""

    kind: Literal["closed", "open"]
    """Closed: each connection sends as soon as its last request is answered. Open: at a fixed rate."""
    seconds: float
    per_second: int = 0
    """The rate of an open loop."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of an offer. Times are nanoseconds of the monotonic clock, which all processes share."""

    first: int
    """Sequence number of the first request; the others follow."""
    sent: int
    statuses: dict[int, int]
    """Answers by status; 0 counts connections that broke before the answer."""
    started: int
    ended: int
    """When the last answer was read."""
    latency_p50: int
    latency_p99: int
    latency_max: int
    cpu_seconds: float
    """What the load generator itself used."""
    send_times: list[int]
    """Of each request, in order. Open loop only."""
    late_p99: int
    """How long after its due time a request was sent. Open loop only."""

    @property
    def ok(self) -> int:
        return self.statuses.get(200, 0)

    @property
    def rate(self) -> float:
        """Requests answered with 200 per second, from the first sent to the last answered."""
        return self.ok / ((self.ended - self.started) / 1e9)

    def summary(self) -> dict[str, object]:
        """What belongs beside a rate in a report."""
        return {
            "webhooks": self.ok,
            "seconds": (self.ended - self.started) / 1e9,
            "http_ms_p50": self.latency_p50 / 1e6,
            "http_ms_p99": self.latency_p99 / 1e6,
            "http_ms_max": self.latency_max / 1e6,
            "loadgen_cpu_us_per_webhook": self.cpu_seconds / self.sent * 1e6,
        }
