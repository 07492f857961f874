"""What `hookline.toml` and the environment say.

Values come from, first wins: command line, environment (`HOOKLINE_DATABASE_URL`, `HOOKLINE_EDGE__HTTP`, …),
`hookline.toml`, defaults. A mistake in any of them is a `ConfigError` that names the key, the value and the fix.
"""

import os
import re
import tomllib
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from hookline import address
from hookline.errors import ConfigError

DEFAULT_FILE = Path("hookline.toml")
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A field name (RFC 9110, section 5.6.2)."""
_NOT_A_TABLE = frozenset({"model_type", "model_attributes_type", "dict_type"})
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    """Read "30s", "5m" or "250ms"; everything else is pydantic's to judge."""
    if isinstance(value, str):
        for unit in ("ms", "s", "m", "h", "d"):
            number = value.removesuffix(unit)
            if number != value and number.replace(".", "", 1).isdecimal():
                seconds = float(number) * _UNITS[unit]
                if seconds > timedelta.max.total_seconds():
                    raise ValueError("is longer than any clock counts")
                return timedelta(seconds=seconds)
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


def _header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError('must be the name of a header, such as "X-Signature"')
    return value


class _Section(BaseModel):
    """A table of the file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(value: str) -> str:
    address.parse(value)
    return value


ListenAddress = Annotated[str, AfterValidator(_address)]
Duration = Annotated[timedelta, AfterValidator(_positive)]


class Source(_Section):
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


class Subscription(_Section):
    """One `[subscriptions.NAME]`: a named consumer group."""

    sources: tuple[str, ...] = ("*",)
    """Globs over source names."""
    types: tuple[str, ...] = ("*",)
    """Globs over event types."""
    ordering: Literal["none"] = "none"
    ack_deadline: Duration = timedelta(seconds=30)
    """How long a delivery is leased before it is handed out again."""
    start: Literal["latest", "earliest"] = "latest"
    """Where a new subscription begins: with the next event, or with the oldest in the log."""

    _read_duration = field_validator("ack_deadline", mode="before")(_duration)

    @field_validator("sources", "types")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise ValueError('must name at least one glob; "*" matches everything')
        return value


class Database(_Section):
    """`[database]`."""

    url: SecretStr | None = None
    """A PostgreSQL URL. None: `hookline run` brings its own server."""
    shards: int = Field(default=32, ge=1, le=256)
    """Fixed when the database is initialised."""


class Edge(_Section):
    """`[edge]`: the HTTP side."""

    http: ListenAddress = "127.0.0.1:8080"
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    request_deadline: Duration = timedelta(seconds=10)
    """From the request's headers to its answer."""
    commit_deadline: Duration = timedelta(seconds=5)
    """The longest that one transaction may take before its connection is given up."""
    queue_events: int = Field(default=5_000, ge=1)
    """How many verified events may wait for their commit."""
    queue_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    writers: int = Field(default=2, ge=1, le=64)
    """Connections that commit; each has its own shards."""

    _read_durations = field_validator("request_deadline", "commit_deadline", mode="before")(_duration)


class Relay(_Section):
    """`[relay]`: the gRPC side."""

    grpc: ListenAddress = "127.0.0.1:50051"
    lease: Duration = timedelta(seconds=10)
    """How long a shard stays with a relay that shows no life."""
    poll: Duration = timedelta(milliseconds=250)
    """How often the log is looked at when no hint arrives."""
    heartbeat: Duration = timedelta(seconds=10)

    _read_durations = field_validator("lease", "poll", "heartbeat", mode="before")(_duration)


class Telemetry(_Section):
    """`[telemetry]`."""

    otlp_endpoint: str | None = None
    """Where spans go over OTLP/gRPC, such as "http://localhost:4317". None: nowhere, and no span is made."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """Everything Hookline can be told."""

    model_config = SettingsConfigDict(
        env_prefix="HOOKLINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=False,
    )

    sources: dict[Annotated[str, Field(pattern=_NAME)], Source] = {}
    subscriptions: dict[Annotated[str, Field(pattern=_NAME)], Subscription] = {}
    database_url: SecretStr | None = None
    """`HOOKLINE_DATABASE_URL`, for those who keep it out of the file."""
    database: Database = Database()
    edge: Edge = Edge()
    relay: Relay = Relay()
    telemetry: Telemetry = Telemetry()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose contents arrive as initial values."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    def dsn(self) -> str | None:
        """The PostgreSQL URL, if one is configured."""
        url = self.database_url or self.database.url
        return url.get_secret_value() if url else None


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
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; create it or name another with --config") from None
        except OSError as error:
            raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(where, detail) for detail in error.errors())) from None
    except SettingsError as error:
        # Says which field; a value that should have been JSON is not repeated.
        raise ConfigError(f"the environment: {error}; a table is given as JSON") from None


def _explain(where: str, detail: Any) -> str:
    """One mistake: the file, the key, the value on that line, and the fix."""
    key = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    variable = _variable(detail["loc"])
    where = f"environment variable {variable}" if variable else where
    value = f" = {detail['input']!r}" if _may_be_shown(key, detail) else ""
    return f"{where}: {key}{value}: {_advice(key, detail)}"


def _may_be_shown(key: str, detail: Any) -> bool:
    """Whether a value may be repeated: a secret may stand where a reference or a table belongs, and in a URL."""
    if "secrets" in key or key.endswith("url") or detail["type"] in ("missing", "extra_forbidden"):
        return False
    return detail["type"] not in _NOT_A_TABLE or isinstance(detail["input"], int | float)


def _advice(key: str, detail: Any) -> str:
    """What is wrong with a value, and how to mend it."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _known_keys(detail["loc"])
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        return (
            f"no such setting; did you mean {close[0]!r}?"
            if close
            else f"no such setting; known here: {', '.join(known)}"
        )
    if kind.startswith("time_delta"):
        return 'must be a duration such as "250ms", "30s", "5m" or "2h"'
    if kind in _NOT_A_TABLE:
        return f"must be a table; write its settings under [{key}]"
    message: str = detail["msg"].removeprefix("Value error, ")
    advice = {
        "literal_error": f"must be one of {detail.get('ctx', {}).get('expected')}",
        "missing": "is missing; add it",
        "string_pattern_mismatch": "use lower-case letters, digits, '-' and '_', with a letter or digit first",
    }
    return advice.get(kind, message[:1].lower() + message[1:])


def _variable(location: tuple[str | int, ...]) -> str | None:
    """The environment variable that a value came from, if it did."""
    for length in range(len(location), 0, -1):
        name = "HOOKLINE_" + "__".join(str(part) for part in location[:length]).upper()
        if name in os.environ:
            return name
    return None


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The settings that exist beside an unknown one."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        sections: dict[str, type[BaseModel]] = {
            "sources": Source,
            "subscriptions": Subscription,
            "database": Database,
            "edge": Edge,
            "relay": Relay,
            "telemetry": Telemetry,
        }
        model = sections.get(str(part), model)
    return sorted(model.model_fields)


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
