"""Schemes of known providers: one TOML file each, written as users write theirs under `[schemes.NAME]`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def preset_names() -> tuple[str, ...]:
    """The names of all presets, in order."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def preset_text(name: str) -> str:
    """A preset as it is written, with its sources in comments.

    Raises:
        KeyError: There is no such preset.
    """
    if name not in preset_names():
        raise KeyError(name)
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


@cache
def preset(name: str) -> Mapping[str, Any]:
    """A preset's settings.

    Raises:
        KeyError: There is no such preset.
    """
    return tomllib.loads(preset_text(name))
