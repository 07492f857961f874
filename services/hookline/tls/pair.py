"""A certificate with its key, judged before anybody sees it."""

import os
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from hookline import config
from hookline.errors import ConfigError
from hookline.tls.files import naming

_READABLE = "let it name a PEM file that this process may read"
_ORDER = "let it hold the certificate, followed by its intermediates"
_TOGETHER = "write both anew, from one order"

Stamps = tuple[tuple[int, ...] | None, ...]
"""What changes with a file, of each; None where there is none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the key that belongs to it."""

    certificate: bytes
    """PEM, followed by its intermediates."""
    key: bytes = field(repr=False)
    client_ca: bytes | None
    """Authorities, as PEM, of which one must have signed what a client shows."""
    expires_at: datetime
    context: ssl.SSLContext
    """For servers by OpenSSL: TLS 1.2 or newer."""


class PairFiles:
    """Where a pair is.

    Args:
        setting: The table that says so, such as "relay.tls".
        settings: That table.
    """

    def __init__(self, setting: str, settings: config.EdgeTls) -> None:
        self._setting = setting
        self._certificate = settings.certificate
        self._key = settings.key
        self._client_ca = settings.client_ca if isinstance(settings, config.RelayTls) else None

    def __repr__(self) -> str:
        return f"<PairFiles of {self._setting}>"

    def stamps(self) -> Stamps:
        """What tells that a file is another now, or has another content, or may be read now."""
        return tuple(
            _stamp(path) for path in (self._certificate, self._key, self._client_ca) if path is not None
        )

    def read(self, now: datetime) -> Pair:
        """Read all of them, and judge them.

        Raises:
            ConfigError: They can't be used, or not now.
        """
        stamps = self.stamps()
        certificate = self._read("certificate", self._certificate)
        key = self._read("key", self._key)
        leaf = self._leaf(certificate, now)
        self._match(leaf, key)
        client_ca = self._read("client_ca", self._client_ca) if self._client_ca is not None else None
        if client_ca is not None:
            self._judge_authorities(client_ca)
        context = self._context()
        if self.stamps() != stamps:
            raise ConfigError(f"{self._setting}: its files changed while they were read; try again")
        return Pair(certificate, key, client_ca, leaf.not_valid_after_utc, context)

    def _read(self, name: str, path: str) -> bytes:
        with naming(f"{self._setting}.{name}", path, fix=_READABLE):
            return Path(path).read_bytes()

    def _leaf(self, certificate: bytes, now: datetime) -> Certificate:
        try:
            leaf = load_pem_x509_certificates(certificate)[0]
        except ValueError:
            raise self._unusable("certificate", self._certificate, "no PEM certificate", _ORDER) from None
        named = f"{self._setting}.certificate = {self._certificate!r}"
        if leaf.not_valid_after_utc <= now:
            raise ConfigError(f"{named} expired at {leaf.not_valid_after_utc.isoformat()}; renew it")
        if leaf.not_valid_before_utc > now:
            since = leaf.not_valid_before_utc.isoformat()
            raise ConfigError(f"{named} isn't valid before {since}; wait, or set this machine's clock")
        return leaf

    def _match(self, leaf: Certificate, key: bytes) -> None:
        try:
            ours = load_pem_private_key(key, password=None).public_key() == leaf.public_key()
        except TypeError:
            why = "it needs a passphrase, which nobody could type"
            raise self._unusable("key", self._key, why, "store it without one") from None
        except (ValueError, UnsupportedAlgorithm):
            raise self._unusable("key", self._key, "no PEM private key", _TOGETHER) from None
        if not ours:
            why = f"it is not the key of {self._setting}.certificate = {self._certificate!r}"
            raise self._unusable("key", self._key, why, _TOGETHER)

    def _judge_authorities(self, client_ca: bytes) -> None:
        assert self._client_ca is not None
        try:
            load_pem_x509_certificates(client_ca)
        except ValueError:
            fix = "let it hold the authorities' certificates"
            raise self._unusable("client_ca", self._client_ca, "no PEM certificate", fix) from None

    def _context(self) -> ssl.SSLContext:
        """Also a trial: gRPC is not to be given what a TLS library wouldn't take, such as a key that is too short."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have us compute for ever
        context.set_alpn_protocols(["http/1.1"])
        with naming(f"{self._setting}.certificate", self._certificate, fix=_TOGETHER):
            context.load_cert_chain(self._certificate, self._key, password="")
        return context

    def _unusable(self, name: str, path: str, why: str, fix: str) -> ConfigError:
        return ConfigError(f"{self._setting}.{name} = {path!r} can't be used: {why}; {fix}")


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (follows links: what Kubernetes mounts changes by one)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
