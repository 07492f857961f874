"""`[relay]`: the gRPC side."""

from datetime import timedelta
from typing import Literal

from hookline.config.duration import Duration
from hookline.config.listen_address import ListenAddress
from hookline.config.section import Section
from hookline.config.tls import RelayTls


class Relay(Section):
    """`[relay]`: the gRPC side."""

    grpc: ListenAddress = "127.0.0.1:50051"
    access: Literal["open", "tokens"] = "open"
    """Who may call: anybody, or who has an access token (`hookline tokens`) whose role allows it."""
    status: ListenAddress | None = None
    """Where `/metrics`, `/healthz` and `/readyz` are answered, for those who watch; such as "127.0.0.1:9465"."""
    lease: Duration = timedelta(seconds=10)
    """How long a shard stays with a relay that shows no life."""
    poll: Duration = timedelta(milliseconds=250)
    """How often the log is looked at when no hint arrives."""
    heartbeat: Duration = timedelta(seconds=10)
    tls: RelayTls | None = None
    """Without it, gRPC is spoken in the clear."""
