"""What is looked at by the tests of `hookline doctor`."""

from typing import Any

from conftest import SHARDS
from hookline.config import Settings
from hookline.doctor.examination import examine
from hookline.doctor.finding import Finding
from hookline.store.rights import Duty

ALL: tuple[Duty, ...] = ("edge", "relay", "operator")
LONG = "0f2d4b6a8c9e1f3d5b7a9c0e"
SOURCE = {"scheme": "begini", "secrets": ["env:DOCTORS_KEY"]}
FREE = {"edge": {"http": "127.0.0.1:0"}, "relay": {"grpc": "127.0.0.1:0"}, "database": {"shards": SHARDS}}


def settings(dsn: str | None = None, **tables: Any) -> Settings:
    return Settings(**{**FREE, "sources": {"begini": SOURCE}, "database_url": dsn, **tables})


async def looked(chosen: Settings, *duties: Duty) -> dict[str, Finding]:
    found = await examine(chosen, duties or ALL)
    assert len({one.check for one in found}) == len(found), "each check has a name of its own"
    return {one.check: one for one in found}


async def wrong(chosen: Settings, *duties: Duty) -> dict[str, str]:
    """The levels of what isn't fine."""
    found = await looked(chosen, *duties)
    assert all(one.fix for one in found.values() if one.level != "ok")
    return {check: one.level for check, one in found.items() if one.level != "ok"}


NO_KEY = {"secrets.keys": "warning"}
"""What is said where nothing else is wrong: these tests have no key that seals."""
