"""Everything that admitting takes, from the edge's own settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from hookline.config import Settings
from hookline.edge import source
from hookline.edge.rejections.admission import Admission, running_intake
from hookline.edge.rejections.judge import judge_of
from hookline.edge.secrets import LiveSecrets
from hookline.edge.watch import rules
from hookline.errors import ConfigError
from hookline.store.ingest import read_installation
from hookline.store.session import Session

_WITHIN = timedelta(seconds=10)


@asynccontextmanager
async def admission(
    settings: Settings, *, ignore_clock: bool = False, dry_run: bool = False
) -> AsyncIterator[Admission]:
    """Admits as long as the block lasts, with the secrets that are live at its start.

    Raises:
        ConfigError: No database is configured, or a secret is missing.
        DatabaseUnavailable: The database can't be reached.
        StatementRefused: It was not migrated.
    """
    dsn = settings.dsn()
    if dsn is None:
        raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
    sealer = settings.secrets.sealer()
    session, secrets = Session(dsn, name="rejections"), Session(dsn, name="rejections secrets")
    try:
        shards = (await read_installation(session, within=_WITHIN)).shards
        live = await LiveSecrets(settings.sources, secrets, sealer, lambda _, __: None).load()
        sources = source.build(settings, live)
        judge = judge_of(sources, rules.build_all(settings), shards=shards)
        async with running_intake(dsn, commit_deadline=settings.edge.commit_deadline) as intake:
            yield Admission(session, intake, judge, sealer, ignore_clock=ignore_clock, dry_run=dry_run)
    finally:
        await secrets.close()
        await session.close()
