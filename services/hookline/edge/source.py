"""A configured source, ready to judge requests."""

from collections.abc import Mapping, Sequence
from time import monotonic

from hookline import config
from hookline.config import Settings
from hookline.core.token_bucket import TokenBucket
from hookline.edge.request import NOT_KEPT
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.scheme import Scheme
from hookline.errors import ConfigError
from hookline.model import SourceName


class Source:
    """A provider's endpoint, with its limits and the secrets that are live now.

    Args:
        name: Its name in the path.
        settings: `[sources.NAME]`.
        declared: The scheme that it names.
        edge: `[edge]`, for what the source leaves open.
        secrets: Every live secret, the newest first.

    Raises:
        ConfigError: A secret is missing or of another form than the scheme's.
    """

    def __init__(
        self,
        name: str,
        settings: config.Source,
        declared: config.Scheme,
        edge: config.Edge,
        secrets: Sequence[bytes],
    ) -> None:
        for setting in settings.model_fields_set.intersection(declared.unused):
            raise ConfigError(
                f"sources.{name}.{setting}: {declared.unused[setting]}, so it changes nothing; leave it out"
            )
        self.name = SourceName(name)
        self.max_body_bytes = settings.max_body_bytes or edge.max_body_bytes
        self.content_encodings = frozenset(name.encode("ascii") for name in settings.content_encodings)
        self.bucket = (
            TokenBucket(rate=settings.rate, burst=settings.burst, now=monotonic()) if settings.rate else None
        )
        self.concurrency = settings.concurrency
        self.in_work = 0
        """Verified webhooks that wait for their commit."""
        self.headers_not_kept = NOT_KEPT | declared.secret_headers
        """Headers that aren't stored with an event: they describe the connection, or are a secret."""
        self._settings = settings
        self._declared = declared
        self._public_url = (edge.public_url or "").rstrip("/")
        reference = settings.verify_token
        self._verify_token = reference.resolve(f"sources.{name}.verify_token") if reference else None
        self.scheme: Scheme
        self.renew(secrets)
        self.is_told_its_url = bool(edge.trusted_proxies) and not (settings.url or edge.public_url)
        """Whether only a trusted proxy can say which URL was called."""
        if self.scheme.signs_url and not (settings.url or edge.public_url or edge.trusted_proxies):
            raise ConfigError(
                f"sources.{name}: its provider signs the URL that it calls; say which that is: sources.{name}.url = "
                '"https://..." or edge.public_url'
            )
        if any(one.verify_token for one in declared.handshakes) and self._verify_token is None:
            raise ConfigError(
                f"sources.{name}.verify_token: is missing; its provider repeats it in the handshake: add a reference "
                'such as "env:NAME"'
            )

    def __repr__(self) -> str:
        return f"<Source {self.name} {self.scheme!r}>"

    def renew(self, secrets: Sequence[bytes]) -> None:
        """Verify with these secrets from now on.

        Raises:
            ConfigError: One is of another form than the scheme's; the ones before stay.
        """
        try:
            self.scheme = Scheme(
                self._declared,
                secrets,
                verify_token=self._verify_token,
                options=self._settings.options,
                tolerance=self._settings.tolerance,
            )
        except WrongKey as error:
            raise ConfigError(f"sources.{self.name}.secrets: {error}") from None

    def url(self, path: bytes, query: bytes, origin: bytes = b"") -> str:
        """The URL that the provider called, as it stands in the provider's settings.

        Args:
            path: Of the request.
            query: Of the request.
            origin: Scheme and host that a trusted proxy says; what is configured counts more.
        """
        base = self._settings.url or (self._public_url or origin.decode("latin-1")) + path.decode("latin-1")
        return f"{base}?{query.decode('latin-1')}" if query else base


def build(settings: Settings, secrets: Mapping[str, Sequence[bytes]]) -> Mapping[str, Source]:
    """All configured sources by name.

    Args:
        settings: Everything that is configured.
        secrets: The live secrets of each source.

    Raises:
        ConfigError: One of them can't be used.
    """
    return {
        name: Source(name, source, settings.scheme_of(source), settings.edge, secrets.get(name, ()))
        for name, source in settings.sources.items()
    }
