"""The shared vectors over real HTTP: verified, stored and answered by the bytes that were sent."""

from collections import Counter
from typing import Any

import httpx
import pytest

from edge.ledger import rows
from edge.running import edge
from vectors.judge import PRESETS
from vectors.vectors import PROVIDERS, Vector, begini, vectors

ANSWERS = {"begini": (200, 403), "discord": (202, 401), "twilio": (200, 403)}
"""What a source answers to what is genuine and what isn't, where that isn't 200 and 401."""
HANDSHAKES = {"valid-ping", "valid-public-key-uppercase", "valid-url-validation"}
"""Genuine ones that are answered with 200 and are no events."""
FORGED = 12
"""Forged vectors of each provider that are sent; all of them are judged in tests/unit."""


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


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name not in ("begini", "generic")])
async def test_a_preset_s_vectors_are_judged_alike_over_http(
    provider: str, database: str, foreign: Any, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    chosen = choose(provider)
    sources = {}
    for number, vector in enumerate(chosen):
        monkeypatch.setenv(f"VECTOR_{number}", vector.secret)
        sources[f"v{number}"] = {
            "scheme": PRESETS.get(provider, provider),
            "secrets": [f"env:VECTOR_{number}"],
            "url": vector.url.partition("?")[0],
        }
        if provider == "meta":
            monkeypatch.setenv("VERIFY_TOKEN", "made-up")
            sources[f"v{number}"]["verify_token"] = "env:VERIFY_TOKEN"
    now = [0.0]
    monkeypatch.setattr("hookline.edge.webhook.time", lambda: now[0])
    outcomes: Counter[int] = Counter()
    async with edge(database, sources=sources) as address, httpx.AsyncClient(base_url=address) as client:
        for number, vector in enumerate(chosen):
            now[0] = vector.now
            with subtests.test(vector.name, why=vector.why):
                query = vector.url.partition("?")[2]
                answer = await client.post(
                    f"/v1/webhooks/v{number}" + (f"?{query}" if query else ""),
                    content=vector.body,
                    # Spaces around a value are the wire's (RFC 9110, section 5.5), and no client sends nothing else.
                    headers=[(name, value.strip()) for name, value in vector.headers],
                )
                genuine, forged = (
                    (200, 401) if vector.name in HANDSHAKES else ANSWERS.get(provider, (200, 401))
                )
                assert answer.status_code == (genuine if vector.is_valid else forged)
                outcomes[answer.status_code] += 1
                stored = await foreign.fetch(
                    "SELECT body FROM hookline.outbox WHERE source = $1", f"v{number}"
                )
                is_event = vector.is_valid and vector.name not in HANDSHAKES
                assert [row["body"] for row in stored] == [vector.body] * is_event
    assert sum(outcomes.values()) == len(chosen)


def choose(provider: str) -> list[Vector]:
    sendable = [vector for vector in vectors(provider) if vector.method == "POST"]
    genuine = [vector for vector in sendable if vector.is_valid]
    return genuine + [vector for vector in sendable if not vector.is_valid][:FORGED]
