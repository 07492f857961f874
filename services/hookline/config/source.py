"""`[sources.NAME]`: a provider's endpoint."""

from typing import Literal

from pydantic import Field

from hookline.config.duration import Duration
from hookline.config.public_url import PublicUrl
from hookline.config.secret_reference import KeyReference, SecretReference
from hookline.config.section import Section
from hookline.config.watch import Watch

_MIB = 1024 * 1024


class Source(Section):
    """One `[sources.NAME]`: a provider's endpoint."""

    scheme: str
    """A preset (`hookline sources presets` lists them) or one of the file's own `[schemes.NAME]`."""
    secrets: tuple[SecretReference, ...] = ()
    """References, never the secrets themselves. Any of them verifies."""
    verify_token: KeyReference | None = None
    """Reference to the text that a provider repeats in its handshake, as Meta does."""
    options: dict[str, str] = Field(default={})
    """What the scheme's plugin needs to know, such as PayPal's `webhook_id`."""
    url: PublicUrl | None = None
    """The URL that the provider calls, where it signs that. None: `edge.public_url` and the request's path."""
    tolerance: Duration | None = None
    """Replaces the scheme's tolerance for signed timestamps, past and future."""
    max_body_bytes: int | None = Field(default=None, ge=1, le=64 * _MIB)
    """None: `edge.max_body_bytes`."""
    content_encodings: tuple[Literal["gzip", "deflate"], ...] = ()
    """Encodings that a body may have. It is verified, stored and delivered as it came."""
    rate: float | None = Field(default=None, gt=0, le=1_000_000, allow_inf_nan=False)
    """Verified webhooks a second that one edge takes in the long run; beyond, 429 and Retry-After. None: all."""
    burst: int = Field(default=100, ge=1, le=1_000_000)
    """Webhooks that it takes at once after a quiet time, where a rate is set."""
    concurrency: int | None = Field(default=None, ge=1, le=100_000)
    """Verified webhooks that wait for their commit in one edge at one moment; beyond, 429. None: any number."""
    watch: Watch = Watch()
