"""An effect once: a row per event in the consumer's own database, in the transaction of the effect."""

from typing import Any, Protocol, TypeGuard
from uuid import UUID

from hookline.client.delivery import Delivery
from hookline.client.errors import NoTransaction

INBOX_TABLE = """\
CREATE TABLE IF NOT EXISTS hookline_inbox (
    subscription text NOT NULL,
    event_id uuid NOT NULL,
    replay text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, event_id, replay)
)"""
"""For the consumer's own migrations."""
_INSERT = "INSERT INTO hookline_inbox (subscription, event_id, replay) VALUES ({}) ON CONFLICT DO NOTHING"
_ASYNCPG_INSERT = _INSERT.format("$1, $2, $3")
_PSYCOPG_INSERT = _INSERT.format("%s, %s, %s")
_PSYCOPG_IDLE = 0
"""libpq's PQTRANS_IDLE: https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQTRANSACTIONSTATUS"""


class AsyncpgConnection(Protocol):
    """What is used of asyncpg's connections, pooled or not: https://magicstack.github.io/asyncpg/."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""

    async def execute(self, query: str, /, *args: Any) -> str:
        """Run a statement and answer its command tag."""


class PsycopgConnection(Protocol):
    """What is used of psycopg 3's asynchronous connections: https://www.psycopg.org/psycopg3/docs/api/."""

    @property
    def autocommit(self) -> bool:
        """Whether statements outside of `transaction()` commit by themselves."""

    @property
    def info(self) -> Any:
        """Has the `transaction_status`."""

    async def execute(self, query: str, params: Any = None, /) -> Any:
        """Run a statement and answer its cursor."""


async def once(connection: AsyncpgConnection | PsycopgConnection, delivery: Delivery) -> bool:
    """Whether the event's effect is still to be made: True the first time, False when it comes again.

        async with pool.acquire() as connection, connection.transaction():
            if await once(connection, delivery):
                await connection.execute("INSERT INTO decisions ...")

    The row that says so is committed with the effect, or neither is. If two transactions ask for the same event at
    the same time, the second waits for the first: False if that commits, True if it rolls back. (Above READ COMMITTED
    Postgres answers the second with a serialization error instead; raise it, and the event is retried.) A replay is
    asked for on purpose, so it counts as another event.

    Args:
        connection: Of asyncpg, or an asynchronous one of psycopg 3, with a transaction open.
        delivery: What came.

    Raises:
        NoTransaction: No transaction is open on the connection.
        TypeError: It is a connection of another kind.
    """
    row = (delivery.subscription, UUID(delivery.event_id), delivery.replay)
    if _is_asyncpg(connection):
        if not connection.is_in_transaction():
            raise NoTransaction(
                f"{NoTransaction.__doc__} Call it within `async with connection.transaction():`."
            )
        return await connection.execute(_ASYNCPG_INSERT, *row) == "INSERT 0 1"
    if _is_psycopg(connection):
        # Without autocommit psycopg opens a transaction with the first statement, which may be this one.
        if connection.autocommit and connection.info.transaction_status == _PSYCOPG_IDLE:
            raise NoTransaction(
                f"{NoTransaction.__doc__} Call it within `async with connection.transaction():`."
            )
        inserted: int = (await connection.execute(_PSYCOPG_INSERT, row)).rowcount
        return inserted == 1
    raise TypeError(
        f"once() knows connections of asyncpg and asynchronous ones of psycopg 3, not {type(connection).__name__};"
        " with another driver run the same INSERT in your transaction (docs/consumers.md)"
    )


async def create_inbox(connection: AsyncpgConnection | PsycopgConnection) -> None:
    """Create the table if it isn't there. A service with migrations puts INBOX_TABLE into them instead."""
    await connection.execute(INBOX_TABLE)


def _is_asyncpg(connection: object) -> TypeGuard[AsyncpgConnection]:
    return hasattr(connection, "is_in_transaction")


def _is_psycopg(connection: object) -> TypeGuard[PsycopgConnection]:
    # The synchronous one has everything but this.
    return (
        hasattr(connection, "info")
        and hasattr(connection, "set_autocommit")
        and hasattr(connection, "__aenter__")
    )
