"""`[database]`."""

from pydantic import Field, SecretStr

from hookline.config.section import Section


class Database(Section):
    """`[database]`."""

    url: SecretStr | None = None
    """A PostgreSQL URL. None: `hookline run` brings its own server."""
    direct_url: SecretStr | None = None
    """The same database without the connection pooler that `url` leads to, for the few connections that listen for
    hints. None: `url`; if that leads to a pooler, nothing is heard, and edges and relays poll."""
    shards: int = Field(default=32, ge=1, le=256)
    """Fixed when the database is initialised."""
