"""`[database]`."""

from pydantic import Field, SecretStr

from hookline.config.section import Section


class Database(Section):
    """`[database]`."""

    url: SecretStr | None = None
    """A PostgreSQL URL. None: `hookline run` brings its own server."""
    shards: int = Field(default=32, ge=1, le=256)
    """Fixed when the database is initialised."""
