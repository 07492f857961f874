"""Everything Hookline can be told."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hookline.config.database import Database
from hookline.config.database_url import checked
from hookline.config.edge import Edge
from hookline.config.place import below
from hookline.config.presets import preset, preset_names
from hookline.config.rejections import Rejections
from hookline.config.relay import Relay
from hookline.config.retention import Retention
from hookline.config.scheme import Scheme
from hookline.config.secrets import Secrets
from hookline.config.source import Source
from hookline.config.subscription import Subscription
from hookline.config.telemetry import Telemetry
from hookline.config.trace_url import TraceUrl

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Settings(BaseSettings):
    """Everything Hookline can be told."""

    model_config = SettingsConfigDict(
        env_prefix="HOOKLINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=False,
    )

    schemes: dict[_Name, Scheme] = {}
    sources: dict[_Name, Source] = {}
    subscriptions: dict[_Name, Subscription] = {}
    database_url: SecretStr | None = None
    """`HOOKLINE_DATABASE_URL`, for those who keep it out of the file."""
    trace_url: TraceUrl | None = None
    """`HOOKLINE_TRACE_URL`, for those who have no file; else `telemetry.trace_url`."""
    database: Database = Database()
    secrets: Secrets = Secrets()
    edge: Edge = Edge()
    rejections: Rejections = Rejections()
    relay: Relay = Relay()
    retention: Retention = Retention()
    telemetry: Telemetry = Telemetry()

    @field_validator("schemes")
    @classmethod
    def _not_presets(cls, value: dict[str, Scheme]) -> dict[str, Scheme]:
        for name in value:
            if name in preset_names():
                raise below(name, f'is a preset; choose another name, and say extends = "{name}"')
        return value

    @field_validator("sources")
    @classmethod
    def _known_schemes(cls, value: dict[str, Source], info: ValidationInfo) -> dict[str, Source]:
        own = info.data.get("schemes")
        if own is None:  # they are wrong themselves, which is said already
            return value
        known = [*own, *preset_names()]
        for name, source in value.items():
            if source.scheme not in known:
                close = get_close_matches(source.scheme, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
                raise below(f"{name}.scheme = {source.scheme!r}", f"no such scheme; {hint}")
            scheme = own.get(source.scheme) or Scheme(**preset(source.scheme))
            if scheme.needs_secrets and not source.secrets:
                raise below(f"{name}.secrets", 'is missing; add a reference such as secrets = ["env:NAME"]')
        return value

    def scheme_of(self, source: Source) -> Scheme:
        """The scheme that a source names."""
        return self.schemes.get(source.scheme) or Scheme(**preset(source.scheme))

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
        """The PostgreSQL URL, if one is configured.

        Raises:
            ConfigError: It isn't one.
        """
        if self.database_url:
            return checked(self.database_url.get_secret_value(), where="HOOKLINE_DATABASE_URL")
        return (
            checked(self.database.url.get_secret_value(), where="database.url") if self.database.url else None
        )

    def direct_dsn(self) -> str | None:
        """The PostgreSQL URL for what listens: without a pooler, where `dsn` leads to one.

        Raises:
            ConfigError: It isn't one.
        """
        if self.database.direct_url is None:
            return self.dsn()
        return checked(self.database.direct_url.get_secret_value(), where="database.direct_url")

    def trace_link(self) -> str | None:
        """Where people look at a trace, with {trace_id} in it, if that is configured."""
        return self.trace_url or self.telemetry.trace_url
