"""The shared vectors over real HTTP: verified, stored and answered by the bytes that were sent."""

from typing import Any

import httpx
import pytest

from edge.ledger import rows
from edge.running import edge
from vectors.vectors import begini


async def test_every_vector_is_judged_alike_over_http(
    database: str, foreign: Any, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    vectors = begini()
    # A source for each: some share a body, which would make them duplicates.
    sources = {}
    for number, vector in enumerate(vectors):
        monkeypatch.setenv(f"VECTOR_{number}", vector.secret)
        sources[f"v{number}"] = {"scheme": "begini", "secrets": [f"env:VECTOR_{number}"]}
    stored = 0
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        for number, vector in enumerate(vectors):
            with subtests.test(vector.name):
                answer = await client.post(
                    f"/v1/webhooks/v{number}", content=vector.body, headers=vector.headers
                )
                assert answer.status_code == (200 if vector.is_valid else 403)
                if vector.is_valid:
                    stored += 1
                    assert answer.json()["status"] == "accepted"
                    [row] = await foreign.fetch(
                        "SELECT body FROM hookline.outbox WHERE source = $1", f"v{number}"
                    )
                    assert row["body"] == vector.body
    assert stored == 23
    assert await rows(foreign) == (stored, stored)
