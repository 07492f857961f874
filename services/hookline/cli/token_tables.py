"""Access tokens on a terminal: what is known of them, never what they are."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hookline.cli.relay_call import print_json
from hookline.cli.tables import console

if TYPE_CHECKING:
    from hookline.core.access_token import AccessToken
    from hookline.store.access_tokens import Added, ListedToken


def print_tokens(found: "Sequence[ListedToken]") -> None:
    """Print a table."""
    from rich.table import Table

    table = Table("id", "name", "role", "subscriptions", "state", "created", "expires", highlight=False)
    for token in found:
        table.add_row(
            token.id,
            token.name,
            token.role,
            ", ".join(token.subscriptions),
            token.state,
            when(token.created_at),
            when(token.expires_at) or "never",
        )
    console().print(table)


def print_tokens_json(found: "Sequence[ListedToken]") -> None:
    """Print the same for programs."""
    print_json(
        [
            {
                "id": token.id,
                "name": token.name,
                "role": token.role,
                "subscriptions": token.subscriptions,
                "state": token.state,
                "created_at": _iso(token.created_at),
                "expires_at": _iso(token.expires_at),
                "revoked_at": _iso(token.revoked_at),
            }
            for token in found
        ]
    )


def print_created_json(token: "AccessToken", added: "Added") -> None:
    """Print a new token for programs, with its secret."""
    print_json({"id": token.id, "token": token.reveal(), "expires_at": _iso(added.expires_at)})


def when(time: datetime | None) -> str:
    """A time as people here read it; "" for none."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
