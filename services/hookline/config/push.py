"""`[subscriptions.NAME.push_call]`: how a consumer is called that doesn't connect itself."""

from typing import Self

from pydantic import Field, model_validator

from hookline.config.duration import Duration
from hookline.config.section import Section
from hookline.core import subscription

_USUAL = subscription.Push(target="")


class PushTls(Section):
    """One `[subscriptions.NAME.push_call.tls]`: files on the relay's machine. The table alone asks for TLS."""

    ca_file: str = ""
    """Authorities, as PEM. Empty: the system's."""
    certificate_file: str = ""
    """The relay's own certificate, as PEM, for consumers that want one."""
    key_file: str = ""
    server_name: str = ""
    """Name in the consumer's certificate, if it isn't the target's."""

    @model_validator(mode="after")
    def _certificate_with_its_key(self) -> Self:
        if bool(self.certificate_file) is not bool(self.key_file):
            missing = "key_file" if self.certificate_file else "certificate_file"
            raise ValueError(f"a certificate comes with its key; set {missing} as well")
        return self

    def described(self) -> subscription.PushTls:
        """What it describes."""
        return subscription.PushTls(
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            server_name=self.server_name,
        )


class PushCall(Section):
    """One `[subscriptions.NAME.push_call]`."""

    max_events: int = Field(default=_USUAL.max_events, ge=1, le=10_000)
    """Deliveries in one call."""
    deadline: Duration = _USUAL.deadline
    """For one call, all deliveries in it."""
    concurrency: int = Field(default=_USUAL.concurrency, ge=1, le=1_000)
    """Calls at the same time, for each relay."""
    tls: PushTls | None = None

    def to(self, target: str) -> subscription.Push:
        """Calls to this target."""
        return subscription.Push(
            target=target,
            max_events=self.max_events,
            deadline=self.deadline,
            concurrency=self.concurrency,
            tls=self.tls.described() if self.tls else None,
        )
