"""TLS of commands with a relay: `HOOKLINE_RELAY_CA` and its companions."""

import os

from hookline.client.tls import Tls
from hookline.errors import ConfigError

CA = "HOOKLINE_RELAY_CA"
CERTIFICATE = "HOOKLINE_RELAY_CERTIFICATE"
KEY = "HOOKLINE_RELAY_KEY"
SERVER_NAME = "HOOKLINE_RELAY_SERVER_NAME"
SYSTEM = "system"
"""Instead of a file: the authorities that this machine trusts anyway."""


def relay_tls(*, is_expected: bool = False) -> Tls | None:
    """What the environment says; None if nothing in it asks for TLS.

    Args:
        is_expected: Whether the relay is known to speak TLS.

    Raises:
        ConfigError: A certificate without its key, or the other way round.
    """
    ca, certificate, key = (os.environ.get(name) or None for name in (CA, CERTIFICATE, KEY))
    if (certificate is None) is not (key is None):
        missing, there = (KEY, CERTIFICATE) if key is None else (CERTIFICATE, KEY)
        raise ConfigError(f"{there} is set and {missing} is not; a certificate comes with its key")
    if not (ca or certificate or is_expected):
        return None
    return Tls(
        ca=None if ca == SYSTEM else ca,
        certificate=certificate,
        key=key,
        server_name=os.environ.get(SERVER_NAME, ""),
    )
