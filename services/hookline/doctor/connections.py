"""Are there enough connections for all edges and relays?"""

from dataclasses import dataclass

from hookline.doctor.finding import Finding, ok, problem, warning

EDGE = 6
"""Connections of an edge beside its writers: secrets, wakeup, rejections, schemas, segments, health."""
RELAY = 15
"""Connections of a relay without subscriptions: wakeup, subscriptions, forwarded, forwarding, replays, chores, gauges,
access, health, and six of its services for operators."""
SUBSCRIPTION = 3
"""Connections of a relay for each subscription with a consumer: log, leases, settlements."""


@dataclass(frozen=True, slots=True)
class Connections:
    """What a server allows our role in our database, and who is there."""

    of_server: int
    of_database: int | None
    """None: as many as the server allows."""
    of_role: int | None
    edges: int
    """That run now."""
    relays: int
    others: int
    """Connections that aren't Hookline's."""


def needed(*, edges: int, relays: int, writers: int, subscriptions: int) -> int:
    """Connections that so many take when every subscription has a consumer at every relay."""
    return edges * (EDGE + writers) + relays * (RELAY + SUBSCRIPTION * subscriptions)


def judge(connections: Connections, *, writers: int, subscriptions: int) -> Finding:
    """Whether there are enough for what runs, and for one edge and one relay at least.

    Args:
        connections: What was found.
        writers: `edge.writers`.
        subscriptions: How many there are.
    """
    check = "database.connections"
    edges, relays = max(1, connections.edges), max(1, connections.relays)
    wanted = needed(edges=edges, relays=relays, writers=writers, subscriptions=subscriptions)
    limits = {
        "max_connections": connections.of_server,
        "the database's limit": connections.of_database,
        "the role's limit": connections.of_role,
    }
    name, limit = min(
        ((name, limit) for name, limit in limits.items() if limit is not None), key=lambda each: each[1]
    )
    need = (
        f"{_count(edges, 'edge')} and {_count(relays, 'relay')} with {_count(subscriptions, 'subscription')} take up"
        f" to {wanted} connections"
    )
    fix = "allow more: ALTER SYSTEM SET max_connections (and restart the server), or raise the limit that is named"
    if wanted > limit:
        return problem(check, f"{need}, and there are {limit} ({name})", fix)
    if wanted + connections.others > connections.of_server:
        found = f"{need}; of {connections.of_server} others have {connections.others} now"
        return warning(check, found, fix)
    return ok(check, f"{need}, of {limit}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
