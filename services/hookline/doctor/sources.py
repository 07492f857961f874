"""Can an edge verify what the configured sources send, and load their JSON schemas?"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from hookline.config import Settings
from hookline.doctor.finding import Finding, of_error, ok, warning
from hookline.edge.source import Source
from hookline.edge.watch import rules
from hookline.errors import ConfigError


def look(settings: Settings) -> Iterator[Finding]:
    """Build all of them, as an edge does when it starts."""
    if not settings.sources:
        yield warning(
            "sources", "none is configured", "add [sources.NAME] to hookline.toml, with a scheme and secrets"
        )
    for name, source in settings.sources.items():
        check, scheme = f"sources.{name}", settings.scheme_of(source)
        secrets = []
        for reference in source.secrets:
            if reference.kind != "stored" and reference.validity.state(datetime.now(UTC)) != "expired":
                with suppress(ConfigError):  # said of the secrets
                    secrets.append(reference.resolve(f"sources.{name}.secrets"))
        try:
            Source(name, source, scheme, settings.edge, secrets)
        except ConfigError as error:
            yield of_error(check, error)
        else:
            yield ok(check, f"scheme {source.scheme}")
        try:
            watched = rules.build(name, source.watch, preset=scheme.extends or source.scheme)
        except ConfigError as error:
            yield of_error(f"schemas.{name}", error)
        else:
            if watched.schemas:
                yield ok(f"schemas.{name}", f"{len(watched.schemas)} loaded")
