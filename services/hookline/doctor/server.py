"""The database server: its version, what our role gets of its settings, and what they mean for what is promised."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from hookline.doctor.finding import Finding, ok, problem, warning
from hookline.store.migrate import OLDEST_SERVER

_LONGEST = timedelta(seconds=60)
"""What our longest statements may take: an operator's search, a chore."""
_RELOAD = "then SELECT pg_reload_conf()"


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself to our role."""

    version: str
    version_number: int
    in_recovery: bool
    is_behind_pooler: bool
    """The process that answers isn't the one that the connection was announced with."""
    role: str
    database: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    synchronous_standby_names: str
    wal_level: str
    data_checksums: str
    size: int
    """Bytes of the whole database."""
    timeouts: str
    """JSON: milliseconds by name; 0 is none."""


def judge(server: Server, *, commit_deadline: timedelta, hears: bool = False) -> Iterator[Finding]:
    """What is to be said of it.

    Args:
        server: What was found.
        commit_deadline: `edge.commit_deadline`.
        hears: Whether `database.direct_url` is set.
    """
    yield _version(server)
    yield _recovery(server)
    yield _pooler(server, hears=hears)
    yield _switch(
        "fsync", server.fsync, "a crash of the machine loses committed events, or the whole database"
    )
    yield _switch(
        "full_page_writes",
        server.full_page_writes,
        "a crash of the machine can leave torn pages, unless the file system writes whole pages (ZFS)",
    )
    yield _synchronous_commit(server)
    yield _wal_level(server)
    yield _checksums(server)
    yield from _timeouts(server, commit_deadline)
    yield ok(
        "database.size", f"{server.size / 1024**2:,.0f} MiB; whether the disk has room isn't seen from here"
    )


def _version(server: Server) -> Finding:
    check, found = "database.version", f"PostgreSQL {server.version}"
    if server.version_number >= OLDEST_SERVER:
        return ok(check, found)
    return problem(check, found, f"upgrade it to PostgreSQL {OLDEST_SERVER // 10000} or newer")


def _recovery(server: Server) -> Finding:
    check = "database.recovery"
    if not server.in_recovery:
        return ok(check, "takes writes")
    return problem(
        check,
        "is a standby: read-only",
        "let the database's URL name the primary, or name all servers and end it with"
        " ?target_session_attrs=read-write",
    )


def _pooler(server: Server, *, hears: bool) -> Finding:
    check = "database.pooler"
    if not server.is_behind_pooler:
        return ok(check, "none between")
    if hears:
        return ok(check, "a connection pooler stands between; database.direct_url is for hints")
    return warning(
        check,
        "a connection pooler stands between: no hint is heard, and events wait for up to relay.poll",
        "let database.direct_url lead to PostgreSQL itself; the few connections that listen take it",
    )


def _switch(name: str, value: str, danger: str) -> Finding:
    check, found = f"database.{name}", f"{name} = {value}"
    if value == "on":
        return ok(check, found)
    return problem(check, f"{found}: {danger}", f"ALTER SYSTEM SET {name} = on; {_RELOAD}")


def _synchronous_commit(server: Server) -> Finding:
    value = server.synchronous_commit
    check, found = "database.synchronous_commit", f"synchronous_commit = {value}"
    fix = (
        f'for this role: ALTER ROLE "{server.role}" SET synchronous_commit = on; or, if it is set there, for the'
        " database or the server"
    )
    if value == "off":
        # hookline.ingest() sees to it for itself.
        return problem(
            check,
            f"{found}: settlements that were confirmed may be lost in a crash, and their events delivered again"
            " (webhooks are committed with on all the same)",
            fix,
        )
    if value in ("local", "remote_write") and server.synchronous_standby_names:
        return warning(
            check, f"{found}: settlements that were confirmed may be lost in a failover to the standby", fix
        )
    return ok(check, found)


def _wal_level(server: Server) -> Finding:
    check, found = "database.wal_level", f"wal_level = {server.wal_level}"
    if server.wal_level != "minimal":
        return ok(check, found)
    return warning(
        check,
        f"{found}: no standby and no backup up to a point in time is possible",
        "ALTER SYSTEM SET wal_level = replica; then restart the server",
    )


def _checksums(server: Server) -> Finding:
    check, found = "database.data_checksums", f"data_checksums = {server.data_checksums}"
    if server.data_checksums == "on":
        return ok(check, found)
    return warning(
        check,
        f"{found}: a disk's silent mistakes stay unnoticed",
        "stop the server and run pg_checksums --enable",
    )


def _timeouts(server: Server, commit_deadline: timedelta) -> Iterator[Finding]:
    set_ = {
        name: timedelta(milliseconds=value) for name, value in json.loads(server.timeouts).items() if value
    }
    for name, limit in set_.items():
        seconds = f"{name} = {limit.total_seconds():g}s"
        fix = f'ALTER ROLE "{server.role}" SET {name} = 0; Hookline has deadlines of its own'
        check = f"database.{name}"
        if name == "idle_session_timeout":
            found = (
                f"{seconds}: connections that wait are cut; they come back, and hints are missed meanwhile"
            )
            yield warning(check, found, fix)
        elif limit < commit_deadline:
            limit_of_ours = f"edge.commit_deadline = {commit_deadline.total_seconds():g}s"
            yield problem(check, f"{seconds} is shorter than {limit_of_ours}: commits are cut", fix)
        elif limit < _LONGEST and name != "lock_timeout":
            found = (
                f"{seconds}: long searches and chores take up to {_LONGEST.total_seconds():g}s, and are cut"
            )
            yield warning(check, found, fix)
    if not set_:
        yield ok("database.timeouts", "none that would cut us")
