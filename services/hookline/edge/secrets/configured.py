"""The secrets that hookline.toml names: in variables and in files."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from hookline import config
from hookline.config.secret_reference import Reference
from hookline.edge.secrets.secret import Secret


def key_of(source: str) -> str:
    """The setting that holds a source's references."""
    return f"sources.{source}.secrets"


def read(source: str, reference: Reference) -> Secret:
    """Follow a reference to a variable or a file.

    Raises:
        ConfigError: The secret is missing, empty, or can't be read.
    """
    value = reference.resolve(key_of(source))
    since = reference.validity.valid_from
    if since is None:
        return Secret(str(reference), value, reference.validity)
    return Secret(str(reference), value, reference.validity, since)


def wanted(sources: Mapping[str, config.Source], now: datetime) -> Iterator[tuple[str, Reference]]:
    """The references to variables and files, with their sources. What is over may be gone already."""
    for name, source in sources.items():
        for reference in source.secrets:
            if reference.kind != "stored" and reference.validity.state(now) != "expired":
                yield name, reference


def check(sources: Mapping[str, config.Source]) -> None:
    """Find what is missing before anything is started, as far as it can be found without the database.

    Raises:
        ConfigError: A secret in a variable or a file is missing, empty, or can't be read.
    """
    for source, reference in wanted(sources, datetime.now(UTC)):
        read(source, reference)
