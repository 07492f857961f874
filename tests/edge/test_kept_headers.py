"""Which headers are stored with an event, and so delivered."""

import json
from typing import Any

import httpx
import pytest

from edge.running import edge

TOKEN = "gitlab-token-4711"
CONTENT = b'{"object_kind":"push"}'


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ({"scheme": "gitlab"}, {"X-Gitlab-Token": TOKEN}),
        ({"scheme": "own"}, {"X-Hook": f"key {TOKEN}"}),
        ({"scheme": "okta"}, {"Authorization": TOKEN}),
    ],
    ids=["gitlab", "own", "okta"],
)
async def test_a_secret_that_is_sent_as_it_is_is_not_stored(
    database: str,
    foreign: Any,
    monkeypatch: pytest.MonkeyPatch,
    scheme: dict[str, str],
    headers: dict[str, str],
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    own = {
        "signatures": [{"algorithm": "token", "at": "header:X-Hook", "prefix": "key "}],
        "event": {"dedup": ["body"], "type": ["text:thing"]},
    }
    sent = {**headers, "Content-Type": "application/json", "X-Kept": "kept", "Cookie": TOKEN}
    sources = {"x": {**scheme, "secrets": ["env:TOKEN"]}}
    async with (
        edge(database, sources=sources, beside={"schemes": {"own": own}}) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        answer = await client.post("/v1/webhooks/x", content=CONTENT, headers=sent)
        assert answer.is_success
    stored = await foreign.fetchval("SELECT headers FROM hookline.outbox")
    assert ["x-kept", "kept"] in json.loads(stored)
    assert TOKEN not in stored
