"""What can go wrong, for people.

The message of each error says what is wrong, where, and how to mend it. None carries a secret, a payload or a
subject id, so each may be printed and logged as it is.
"""


class HooklineError(Exception):
    """Anything that Hookline reports on purpose."""


class ConfigError(HooklineError):
    """The configuration can't be used as it is written."""


class EmbeddedPostgresError(HooklineError):
    """The embedded PostgreSQL could not be set up, started or stopped."""


class MigrationError(HooklineError):
    """The database's schema and this version of Hookline don't fit together."""


class RolesError(HooklineError):
    """Roles can't be created, or not be given what they need and nothing more."""


class DatabaseUnavailable(HooklineError):
    """Postgres can't be reached, or it can't be known whether a statement was committed. Try again."""


class StatementRefused(HooklineError):
    """Postgres refused a statement; the connection is fine."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        """Five characters: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class IntakeUnavailable(HooklineError):
    """An event could not be committed now; the provider should send it again."""
