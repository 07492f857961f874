"""`[subscriptions.NAME]`: a named consumer group."""

import re
from datetime import timedelta

from pydantic import ValidationInfo, field_validator

from hookline.config.duration import Duration
from hookline.config.push import PushCall
from hookline.config.retry import Retry
from hookline.config.section import Section
from hookline.config.start import Start
from hookline.core import subscription
from hookline.core.expression import Expression
from hookline.core.subscription import AfterDeadLetter, Ordering
from hookline.model import SubscriptionName

_URL = re.compile(r"(https?|grpcs?)://")


class Subscription(Section):
    """One `[subscriptions.NAME]`: a named consumer group."""

    sources: tuple[str, ...] = ("*",)
    """Globs over source names."""
    types: tuple[str, ...] = ("*",)
    """Globs over event types."""
    expression: str = ""
    """A CEL condition. Empty: none."""
    ordering: Ordering = "none"
    after_dead_letter: AfterDeadLetter = "continue"
    """Whether later events of a dead letter's key go on or wait for it."""
    ack_deadline: Duration = timedelta(seconds=30)
    """How long a delivery is leased before it is handed out again."""
    retry: Retry = Retry()
    push: str | None = None
    """The consumer to call, as gRPC writes targets. None: consumers connect."""
    push_call: PushCall | None = None
    """How it is called, if not as usual."""
    dead_letter_retention: Duration = timedelta(days=30)
    start: Start = "latest"
    """Where a new subscription begins."""

    @field_validator("sources", "types")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise ValueError('must name at least one glob; "*" matches everything')
        return value

    @field_validator("expression")
    @classmethod
    def _can_be_evaluated(cls, value: str) -> str:
        if value:
            Expression(value)
        return value

    @field_validator("after_dead_letter")
    @classmethod
    def _has_keys(cls, value: AfterDeadLetter, info: ValidationInfo) -> AfterDeadLetter:
        if value == "block" and info.data.get("ordering") == "none":
            raise ValueError('only events of one key can wait; set ordering = "key" as well')
        return value

    @field_validator("push")
    @classmethod
    def _target(cls, value: str | None) -> str | None:
        if value is not None and (not value or not value.isprintable() or " " in value or _URL.match(value)):
            raise ValueError('must be a gRPC target such as "dns:///scoring:50051"; TLS is in push_call.tls')
        return value

    @field_validator("push_call")
    @classmethod
    def _calls_somebody(cls, value: PushCall | None, info: ValidationInfo) -> PushCall | None:
        if value is not None and info.data.get("push", "wrong") is None:
            raise ValueError('says how to call, but not whom; set push = "dns:///HOST:PORT" as well')
        return value

    def declared(self, name: str) -> subscription.Subscription:
        """The subscription that it describes."""
        return subscription.Subscription(
            name=SubscriptionName(name),
            sources=self.sources,
            types=self.types,
            expression=self.expression,
            ordering=self.ordering,
            after_dead_letter=self.after_dead_letter,
            ack_deadline=self.ack_deadline,
            retry=self.retry.policy(),
            push=(self.push_call or PushCall()).to(self.push) if self.push is not None else None,
            dead_letter_retention=self.dead_letter_retention,
        )
