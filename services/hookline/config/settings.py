"""Everything Hookline can be told."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hookline.config.database import Database
from hookline.config.edge import Edge
from hookline.config.relay import Relay
from hookline.config.source import Source
from hookline.config.subscription import Subscription
from hookline.config.telemetry import Telemetry

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

    sources: dict[_Name, Source] = {}
    subscriptions: dict[_Name, Subscription] = {}
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
