"""What is watched of one source's bodies, as it is configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hookline.config import Settings
from hookline.config.watch import Watch
from hookline.core.shape import body as shape_body
from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.shape import Learning
from hookline.edge.watch import schema_file
from hookline.edge.watch.schema_file import JsonSchema


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one source."""

    mode: Literal["observe", "reject", "off"]
    learning: Learning = field(default_factory=Learning)
    schemas: Mapping[str, JsonSchema] = field(default_factory=dict)
    """By event type."""

    def judge(self, type_: str, body: bytes) -> SchemaFinding | None:
        """Why a body must be refused; None if it may come in."""
        schema = self.schemas.get(type_) if self.mode == "reject" else None
        return schema.judge(shape_body.read(body), body) if schema is not None else None

    def names(self, type_: str) -> frozenset[str]:
        """Keys of a type's bodies that are names for sure."""
        schema = self.schemas.get(type_)
        return schema.names if schema else frozenset()


def build_all(settings: Settings) -> Mapping[str, Rules]:
    """The rules of all configured sources.

    Raises:
        ConfigError: A schema is missing, is none, or needs something beyond itself.
    """
    return {
        name: build(name, source.watch, preset=settings.scheme_of(source).extends or source.scheme)
        for name, source in settings.sources.items()
    }


def build(source: str, settings: Watch, *, preset: str) -> Rules:
    """The rules of a configured source. Its own schemas take the place of those that come along.

    Args:
        source: Its name.
        settings: Its `[sources.NAME.watch]`.
        preset: The name of its scheme.

    Raises:
        ConfigError: A schema is missing, is none, or needs something beyond itself.
    """
    if settings.mode == "off":
        return Rules("off")
    schemas = schema_file.shipped(preset)
    for type_, path in settings.files.items():
        schemas[type_] = schema_file.load(f'sources.{source}.watch.files."{type_}"', Path(path))
    return Rules(settings.mode, settings.learning, schemas)
