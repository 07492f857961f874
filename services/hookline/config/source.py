"""`[sources.NAME]`: a provider's endpoint."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from hookline.config.section import Section
from hookline.errors import ConfigError

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A field name (RFC 9110, section 5.6.2)."""


def _header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError('must be the name of a header, such as "X-Signature"')
    return value


class Source(Section):
    """One `[sources.NAME]`: a provider's endpoint."""

    scheme: Literal["begini"]
    secrets: tuple[str, ...] = Field(min_length=1)
    """References, never the secrets themselves: "env:NAME" or "file:PATH". Any of them verifies."""
    header: Annotated[str, AfterValidator(_header_name)] | None = None
    """Name of the signature header, where it differs from the scheme's."""
    algorithm: Literal["sha256", "sha512"] | None = None
    """The HMAC's hash, where it differs from the scheme's."""

    @field_validator("secrets")
    @classmethod
    def _references(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for reference in value:
            kind, _, rest = reference.partition(":")
            if kind not in ("env", "file") or not rest:
                # The text may be the secret itself, so it is not repeated.
                raise ValueError('each secret must be a reference, "env:NAME" or "file:PATH"')
        return value

    def resolve_secrets(self, name: str) -> tuple[bytes, ...]:
        """Fetch the secrets.

        Raises:
            ConfigError: One is missing or empty.
        """
        return tuple(_resolve(f"sources.{name}.secrets", reference) for reference in self.secrets)


def _resolve(key: str, reference: str) -> bytes:
    """Follow a reference to a secret."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest, "")
        fix = f"set the environment variable {rest}"
    else:
        try:
            # An editor ends a file with a newline; a key has none.
            value = Path(rest).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{key}: {reference}: can't be read: {type(error).__name__}") from None
        fix = f"write the key into {rest}"
    if not value:
        raise ConfigError(f"{key}: {reference}: is empty or not set; {fix}")
    return value.encode()
