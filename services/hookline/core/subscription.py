"""A subscription: what is delivered to whom, and what happens when it fails."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import msgspec

from hookline.core.retry import RetryPolicy
from hookline.model import SubscriptionName

Ordering = Literal["none", "key"]
AfterDeadLetter = Literal["continue", "block"]


class PushTls(msgspec.Struct, frozen=True):
    """Files for TLS on the relay's machine; empty names the system's authorities, or no certificate of our own."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""
    """Name in the consumer's certificate, if it isn't the target's."""


class Push(msgspec.Struct, frozen=True):
    """Whom the relay calls, and how."""

    target: str
    """As gRPC writes it: "dns:///scoring:50051"."""
    max_events: int = 100
    """Deliveries in one call."""
    deadline: timedelta = timedelta(seconds=10)
    """For one call, all deliveries in it."""
    concurrency: int = 4
    """Calls at the same time, for each relay."""
    tls: PushTls | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A named consumer group."""

    name: SubscriptionName
    sources: tuple[str, ...] = ("*",)
    """Globs over source names."""
    types: tuple[str, ...] = ("*",)
    """Globs over event types."""
    expression: str = ""
    """A CEL condition; "" is none."""
    ordering: Ordering = "none"
    after_dead_letter: AfterDeadLetter = "continue"
    """Whether later events of a dead letter's key go on or wait for it."""
    ack_deadline: timedelta = timedelta(seconds=30)
    """How long a delivery is leased."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    push: Push | None = None
    """None: consumers connect."""
    dead_letter_retention: timedelta = timedelta(days=30)
    paused: bool = False
    version: int = 1
    """Counts changes."""

    @property
    def is_ordered(self) -> bool:
        """Whether events of one key wait for each other."""
        return self.ordering == "key"
