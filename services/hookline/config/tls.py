"""`[edge.tls]` and `[relay.tls]`: the certificates that we show to who calls us."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from hookline.config.place import below
from hookline.config.section import Section

_File = Annotated[str, Field(min_length=1)]


class EdgeTls(Section):
    """`[edge.tls]`: PEM files, read again when they change."""

    certificate: _File
    """Ours, followed by its intermediates."""
    key: _File
    """Its private key, without a passphrase."""

    @model_validator(mode="before")
    @classmethod
    def _paths_and_no_contents(cls, value: Any) -> Any:
        for name, path in value.items() if isinstance(value, dict) else ():
            if isinstance(path, str) and "-----BEGIN" in path:
                # Said of the table, because what is said of a value repeats it.
                raise below(name, "must be the path of a PEM file, not what is in it")
        return value


class RelayTls(EdgeTls):
    """`[relay.tls]`: the same, and who may call."""

    client_ca: _File | None = None
    """Authorities, as PEM. When set, who calls must show a certificate of one of them."""
