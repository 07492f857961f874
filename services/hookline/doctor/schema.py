"""Hookline's schema: is it there, is it ours, and is the outbox's next segment there before it is needed?"""

from collections.abc import Mapping, Sequence

from hookline.doctor.finding import Finding, ok, problem, warning
from hookline.store.migrate import Migration

_MIGRATE = "run `hookline migrate` with a role that may change the schema"


def missing() -> Finding:
    """There is none."""
    return problem("schema.migrations", "this database was never migrated", _MIGRATE)


def judge_migrations(applied: Mapping[int, str], known: Sequence[Migration]) -> Finding:
    """Whether the database is what this program expects.

    Args:
        applied: Digests by version.
        known: Those of this program.
    """
    check = "schema.migrations"
    newest = max(applied, default=0)
    if newest > known[-1].version:
        return problem(
            check,
            f"the database is at migration {newest:04}, and this Hookline knows up to {known[-1].version:04}",
            "install the newer version of Hookline here",
        )
    for migration in known:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            return problem(
                check,
                f"migration {migration.version:04}_{migration.name} was applied with another text: this database"
                " belongs to another build of Hookline",
                "install that version, or restore a backup",
            )
    pending = [migration for migration in known if migration.version not in applied]
    if pending:
        names = ", ".join(f"{migration.version:04}_{migration.name}" for migration in pending)
        return problem(check, f"{len(pending)} pending: {names}", _MIGRATE)
    return ok(check, f"up to date at {newest:04}")


def judge_shards(fixed: int, configured: int) -> Finding:
    """Whether the database was initialised with the configured number of shards."""
    check = "schema.shards"
    if fixed == configured:
        return ok(check, f"{fixed}")
    return problem(
        check,
        f"the database was initialised with {fixed} shards, and database.shards = {configured}",
        f"set database.shards = {fixed}: it can't change any more",
    )


def judge_segments(current: int, last: int | None) -> Finding:
    """Whether there is room for the coming events.

    Args:
        current: Number of the segment that is being written.
        last: That of the last one.
    """
    check = "schema.segments"
    ahead = -1 if last is None else last - current
    fix = "an edge creates them while it runs; its log says why not (`outbox segments not checked`), or see rights.edge"
    if ahead < 0:
        return problem(check, "the outbox segment that the next events need isn't there", fix)
    if ahead == 0:
        return warning(check, "no outbox segment is ready beyond the one that is being written", fix)
    return ok(check, f"{ahead} ahead")
