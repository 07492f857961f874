"""A configured source, ready to judge requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from hookline.config import Settings
from hookline.edge import schemes
from hookline.edge.schemes.scheme import Scheme
from hookline.model import SourceName


@dataclass(frozen=True, slots=True)
class Source:
    """A provider's endpoint: the scheme knows its secrets."""

    name: SourceName
    scheme: Scheme


def build(settings: Settings) -> Mapping[str, Source]:
    """All configured sources by name.

    Raises:
        ConfigError: A secret is missing.
    """
    return {
        name: Source(SourceName(name), schemes.build(name, source))
        for name, source in settings.sources.items()
    }
