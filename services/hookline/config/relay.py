"""`[relay]`: the gRPC side."""

from datetime import timedelta

from hookline.config.duration import Duration
from hookline.config.listen_address import ListenAddress
from hookline.config.section import Section


class Relay(Section):
    """`[relay]`: the gRPC side."""

    grpc: ListenAddress = "127.0.0.1:50051"
    lease: Duration = timedelta(seconds=10)
    """How long a shard stays with a relay that shows no life."""
    poll: Duration = timedelta(milliseconds=250)
    """How often the log is looked at when no hint arrives."""
    heartbeat: Duration = timedelta(seconds=10)
