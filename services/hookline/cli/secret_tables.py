"""Stored secrets on a terminal: what is known of them, never what they are."""
# ruff: noqa: PLC0415  (an edge starts with this package, and needs no tables)

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hookline.cli.relay_call import print_json
from hookline.cli.tables import console
from hookline.sealing import key_id

if TYPE_CHECKING:
    from hookline.store.secrets import ListedSecret


def print_secrets(found: "Sequence[ListedSecret]") -> None:
    """Print a table."""
    from rich.table import Table

    table = Table("source", "id", "state", "valid from", "valid until", "created", "key", highlight=False)
    for listed in found:
        secret = listed.secret
        table.add_row(
            secret.source,
            secret.id,
            listed.state,
            _when(secret.validity.valid_from) or "ever since",
            _when(secret.validity.valid_until) or "for good",
            _when(secret.created_at),
            key_id(secret.sealed),
        )
    console().print(table)


def print_secrets_json(found: "Sequence[ListedSecret]") -> None:
    """Print the same for programs."""
    print_json(
        [
            {
                "source": listed.secret.source,
                "id": listed.secret.id,
                "state": listed.state,
                "valid_from": _iso(listed.secret.validity.valid_from),
                "valid_until": _iso(listed.secret.validity.valid_until),
                "created_at": _iso(listed.secret.created_at),
                "key_id": key_id(listed.secret.sealed),
            }
            for listed in found
        ]
    )


def _when(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
