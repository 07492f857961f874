"""`[sources.NAME.watch]`: what is watched of the shape of a source's bodies."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from hookline.config.duration import Duration
from hookline.config.section import Section
from hookline.core.shape.shape import Learning

_USUAL = Learning()


class Watch(Section):
    """One `[sources.NAME.watch]`."""

    mode: Literal["observe", "reject", "off"] = "observe"
    """What becomes of a body that its schema doesn't allow: it is marked and counted, or it is refused with 422.
    "off" looks at no body at all, and learns nothing."""
    files: dict[str, str] = Field(default_factory=dict)
    """JSON Schemas by event type. A path in `hookline.toml` is relative to that file's directory."""
    learning_bodies: int = Field(default=_USUAL.bodies, ge=1, le=1_000_000)
    """For each type: so many bodies are only learned from."""
    learning_time: Duration = timedelta(hours=24)
    """Or those of so much time after the first, if that is over before."""

    @field_validator("files")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(value) or not all(value.values()):
            raise ValueError(
                'must be event types and paths, such as { "application.complete" = "schemas/done.json" }'
            )
        return value

    @property
    def learning(self) -> Learning:
        """How long a shape is only learned."""
        return Learning(bodies=self.learning_bodies, time=self.learning_time)


def anchored(values: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The contents of `hookline.toml` with the paths of schemas made relative to where it is.

    Args:
        values: As they were parsed. What isn't as it should be is left as it is: that is said later.
        directory: Where the file is.
    """
    sources = values.get("sources")
    if not isinstance(sources, dict):
        return dict(values)
    return {**values, "sources": {name: _anchored(source, directory) for name, source in sources.items()}}


def _anchored(source: Any, directory: Path) -> Any:
    watch = source.get("watch") if isinstance(source, dict) else None
    files = watch.get("files") if isinstance(watch, dict) else None
    if not (isinstance(source, dict) and isinstance(watch, dict) and isinstance(files, dict)):
        return source
    found = {
        type_: str(directory / path) if isinstance(path, str) and path else path
        for type_, path in files.items()
    }
    return {**source, "watch": {**watch, "files": found}}
