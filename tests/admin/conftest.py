"""The operators' services over a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from admin.rig import Admin


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    async with Admin(database) as admin:
        yield admin
