"""How a consumer and its relay prove to each other that they are."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from hookline.client.errors import ConsumerError

_File = str | os.PathLike[str]


class UnusableFile(ConsumerError):
    """A file of `Tls` can't be used."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS with a relay. All files are PEM; they are read for each new connection, so they may be renewed."""

    ca: _File | None = None
    """Authorities that may have signed the relay's certificate. None: the system's."""
    certificate: _File | None = None
    """Our own, followed by its intermediates, for a relay with `client_ca`."""
    key: _File | None = None
    """Its private key, without a passphrase."""
    server_name: str = ""
    """The name in the relay's certificate, if it isn't the target's."""

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise ValueError(f"a certificate comes with its key; give {missing} as well")

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC needs, as the files say now.

        Raises:
            UnusableFile: One can't be read, or holds something else.
        """
        authorities = self.ca or ssl.get_default_verify_paths().cafile
        with _naming("ca", authorities or ""):
            # Judged here: gRPC ends the process when it is given what it can't use.
            context = ssl.create_default_context(cafile=authorities)
            roots = Path(authorities).read_bytes() if authorities else None  # None: gRPC's own
        if self.certificate is None or self.key is None:
            return grpc.ssl_channel_credentials(roots)
        with _naming("key", self.key):
            key = Path(self.key).read_bytes()
        with _naming("certificate", self.certificate):
            certificate = Path(self.certificate).read_bytes()
            context.load_cert_chain(self.certificate, self.key, password="")
        return grpc.ssl_channel_credentials(roots, key, certificate)

    def stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        """What changes when one of the files is another, or has another content."""
        return tuple(_stamp(path) for path in (self.ca, self.certificate, self.key) if path is not None)


def _stamp(path: _File) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (follows links: what Kubernetes mounts changes by one)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def _naming(name: str, path: _File) -> Iterator[None]:
    """Say which file it is that can't be used."""
    try:
        yield
    except ssl.SSLError as error:
        why = error.reason or "it isn't a PEM file of the right kind"
        raise UnusableFile(f"{name} = {os.fspath(path)!r} can't be used: {why}") from None
    except OSError as error:
        raise UnusableFile(f"{name} = {os.fspath(path)!r} can't be read: {error.strerror}") from None
