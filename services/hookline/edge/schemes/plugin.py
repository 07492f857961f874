"""Verification by code, for providers whose signature can't be declared."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Protocol

from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError


class Plugin(Protocol):
    """Verifies one source's requests."""

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check a request over its raw bytes; never raises, whatever was sent."""


class MakePlugin(Protocol):
    """Makes a plugin for one source, and another one whenever its live secrets change."""

    def __call__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None
    ) -> Plugin:
        """Make it.

        Args:
            secrets: Every live secret, the newest first.
            options: The source's `options`.
            tolerance: The source's `tolerance`, for a signed timestamp; None if it sets none.

        Raises:
            WrongKey: A secret is no key here.
            ConfigError: An option or the tolerance can't be used.
        """


GROUP = "hookline.schemes"
"""Entry points of installed packages that offer further plugins."""
_OURS: Mapping[str, str] = {
    "adyen": "hookline.edge.schemes.plugins.adyen:Adyen",
    "hubspot": "hookline.edge.schemes.plugins.hubspot:HubSpot",
    "mailgun": "hookline.edge.schemes.plugins.mailgun:Mailgun",
    "paypal": "hookline.edge.schemes.plugins.paypal:PayPal",
    "twilio": "hookline.edge.schemes.plugins.twilio:Twilio",
}


def find_plugin(name: str) -> MakePlugin:
    """The plugin of a name.

    Raises:
        ConfigError: There is none.
    """
    if name in _OURS:
        found = [resolve_name(_OURS[name])]
    else:
        found = [installed.load() for installed in entry_points(group=GROUP, name=name)]
    if not found:
        raise ConfigError(
            f"plugin = {name!r}: no such plugin; known are {', '.join(_OURS)} and the entry points {GROUP!r} of "
            "installed packages"
        )
    make: MakePlugin = found[0]
    return make
