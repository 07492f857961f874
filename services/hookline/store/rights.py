"""What each duty needs in schema `hookline`, and nothing more: declared once.

`hookline roles` grants it, `hookline doctor` looks for it, and tests do all work with it and nothing else. Whoever adds
a table or function names it here, for those whose statements touch it, or in `OWNER_ONLY`; a test counts them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Duty = Literal["edge", "relay", "operator"]
Kind = Literal["schema", "table", "sequence", "function"]
DUTIES: tuple[Duty, ...] = ("edge", "relay", "operator")

_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
_WITH_COLUMNS = re.compile(r"(\w+)(?: \((.+)\))?")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One privilege on one object of the schema; a function's is on all of its name."""

    kind: Kind
    name: str
    privilege: str
    column: str = ""
    """One column of a table; "" is the whole table."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a duty needs. A privilege is as in GRANT: "SELECT", or "SELECT (id, source)" for some columns."""

    tables: Mapping[str, Sequence[str]]
    sequences: Mapping[str, Sequence[str]]
    functions: Sequence[str]

    def each(self) -> Iterator[Right]:
        """One by one."""
        yield Right("schema", "hookline", "USAGE")
        for name, privileges in self.tables.items():
            for privilege, column in _split(privileges):
                yield Right("table", name, privilege, column)
        for name, privileges in self.sequences.items():
            for privilege in privileges:
                yield Right("sequence", name, privilege)
        for name in self.functions:
            yield Right("function", name, "EXECUTE")


def _split(privileges: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in privileges:
        match = _WITH_COLUMNS.fullmatch(text)
        assert match, text
        for column in (match[2] or "").split(", "):
            yield match[1], column


# Committing events: they are written, and of those that are there it is seen which, but no body can be read.
_INGEST: Mapping[str, Sequence[str]] = {
    "installation": ("SELECT",),
    "migrations": ("SELECT",),
    "events": ("INSERT", "SELECT (id, lineage, revision, seq, shard)"),
    "outbox": ("INSERT",),
}

# Retention: everything that drops or looks into partitions is a function of the owner's.
_RETENTION = (
    "drop_day",
    "drop_segment",
    "expire_default",
    "held_log",
    "log_complete_since",
    "old_days",
    "segment_bounds",
    "segment_needs",
    "segment_newest",
    "sweep_leftovers",
)

NEEDS: Mapping[Duty, Rights] = {
    "edge": Rights(
        tables={
            **_INGEST,
            "secrets": ("SELECT",),
            # Written and trimmed; what is in them is for operators.
            "rejections": ("INSERT", "DELETE", "SELECT (id, bytes, received_at, source)"),
            "rejection_totals": ("SELECT", "INSERT", "UPDATE"),
            "shapes": ("SELECT", "INSERT", "UPDATE"),
            "drift": _ALL,
            "schema_findings": ("SELECT", "INSERT", "UPDATE"),
        },
        sequences={"outbox_seq": ("USAGE",)},
        functions=("ensure_segments", "ingest", "keep_rejections", "lock_shards", "trim_rejections"),
    ),
    # With it everything that operators ask of a relay: it acts for them.
    "relay": Rights(
        tables={
            "installation": ("SELECT",),
            "migrations": ("SELECT",),
            "events": ("SELECT",),
            "outbox": ("SELECT",),
            "subscriptions": _ALL,
            "cursors": _ALL,
            "deliveries": _ALL,
            "attempts": ("SELECT", "INSERT", "DELETE"),
            "acks": ("SELECT", "INSERT"),
            "members": _ALL,
            "forwarded_settlements": _ALL,
            "replays": _ALL,
            "access_tokens": ("SELECT",),
        },
        sequences={"outbox_seq": ("SELECT",)},
        functions=(
            "add_deliveries",
            "advance_replay",
            "close_subscription",
            "delete_dead_letters",
            "ensure_attempt_days",
            "ensure_days",
            "first_held",
            "forget_subscription",
            "lock_cursors",
            "next_due",
            "read_due",
            "redrive",
            "settle",
            "start_positions",
            "take_turns",
            "withdraw_replay",
            *_RETENTION,
        ),
    ),
    # What the commands do by themselves: secrets, rejections and their admission, drift, access tokens, the doctor.
    "operator": Rights(
        tables={
            **_INGEST,
            "secrets": _ALL,
            "rejections": ("SELECT", "UPDATE (admitted_at, event_id)"),
            "rejection_totals": ("SELECT",),
            "shapes": ("SELECT", "UPDATE"),
            "drift": ("SELECT", "DELETE"),
            "schema_findings": ("SELECT", "DELETE"),
            "subscriptions": ("SELECT (name, deleted_at)",),
            "access_tokens": ("SELECT", "INSERT", "UPDATE"),
        },
        sequences={"outbox_seq": ("USAGE", "SELECT")},
        functions=("ensure_segments", "ingest", "lock_shards", *_RETENTION),
    ),
}

OWNER_ONLY: frozenset[str] = frozenset({"duty_roles", "try_lock_retention"})
"""Tables, sequences and functions that nobody needs but who migrates.

Partitions, the sequences of identity columns and trigger functions need no mention: nobody is granted those."""


def asked(duties: Sequence[Duty]) -> list[Right]:
    """What several duties need together, once."""
    return list(dict.fromkeys(right for duty in duties for right in NEEDS[duty].each()))
