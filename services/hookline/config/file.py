"""Read `hookline.toml`."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from hookline.config.mistake import explain
from hookline.config.settings import Settings
from hookline.config.watch import anchored
from hookline.errors import ConfigError

DEFAULT_FILE = Path("hookline.toml")


def load(file: Path | None = None) -> Settings:
    """Read the configuration.

    Args:
        file: The file to read. None reads `hookline.toml` here if there is one, else the defaults: a source and
            a subscription that receive Begini's events with the key in BEGINI_API_KEY.

    Raises:
        ConfigError: The file can't be read, or a value in it or in the environment is wrong.
    """
    path = file or DEFAULT_FILE
    where = str(path)
    if file is None and not path.exists():
        values: dict[str, Any] = {
            "sources": {"begini": {"scheme": "begini", "secrets": ["env:BEGINI_API_KEY"]}},
            "subscriptions": {"all": {"sources": ["*"], "types": ["*"]}},
        }
        where = "the built-in defaults"
    else:
        values = anchored(_parse(path), path.parent)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(where, detail) for detail in error.errors())) from None
    except SettingsError as error:
        # Says which field; a value that should have been JSON is not repeated.
        raise ConfigError(f"the environment: {error}; a table is given as JSON") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; create it or name another with --config") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
