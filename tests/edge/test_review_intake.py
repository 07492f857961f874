"""What no single webhook, and no single task, may do to a whole edge or to what reads behind it."""

import asyncio
import json
from random import Random
from typing import Any

import pytest

from edge.provider import Wire, body, send
from edge.running import BEGINI, edge
from hookline.config import Settings
from hookline.edge import app as edge_app
from hookline.edge.app import create_app
from hookline.process import BackgroundFailed

CANARY = "canary-4711"


async def test_an_event_with_very_long_keys_can_wait_for_a_retry(database: str, foreign: Any) -> None:
    random = Random(1)  # what is random isn't compressed
    long = ["".join(chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(512)) for _ in range(2)]
    content = json.dumps({"integration_id": long[0], "uid": long[1], "event": {"type": "x"}}).encode()
    async with edge(database) as address:
        assert (await send(address, content)).json["status"] == "accepted"
        assert (await send(address, content)).json["status"] == "duplicate"
    # As a relay does when its consumer asks for a retry: the key is in two indexes.
    await foreign.execute(
        "INSERT INTO hookline.deliveries (shard, subscription, seq, event_id, source, ordering_key, state, due_at, "
        "changed_at) SELECT shard, 'all', seq, event_id, source, ordering_key, 'waiting', now(), now() "
        "FROM hookline.outbox"
    )
    assert await foreign.fetchval("SELECT count(*) FROM hookline.deliveries WHERE ordering_key <> ''") == 1


@pytest.mark.parametrize("chore", ["Wakeup", "LiveSecrets", "Rejections", "SchemaWatch", "Intake"])
async def test_an_edge_that_has_lost_a_part_of_it_ends(
    database: str, monkeypatch: pytest.MonkeyPatch, chore: str
) -> None:
    async def die(_: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError(CANARY)

    monkeypatch.setattr(getattr(edge_app, chore), "run", die)
    app = create_app(Settings.model_validate({"database_url": database, "sources": {"begini": BEGINI}}))
    with pytest.raises(BackgroundFailed) as ended:
        async with asyncio.timeout(20), app.running():
            await asyncio.Event().wait()
    assert CANARY not in f"{ended.value!r} {ended.value.__cause__!r}"
    assert app.endpoint is None


async def test_a_source_that_lets_everybody_in_does(database: str) -> None:
    settings: dict[str, Any] = {
        "sources": {"open": {"scheme": "open"}},
        "beside": {
            "schemes": {
                "open": {
                    "unsafe": True,
                    "signatures": [{"algorithm": "none"}],
                    "event": {"dedup": ["body"], "type": ["text:x"]},
                }
            }
        },
    }
    content = body("anybody")
    async with edge(database, **settings) as address, Wire(address) as wire:
        head = f"POST /v1/webhooks/open HTTP/1.1\r\nHost: edge\r\nContent-Length: {len(content)}\r\n"
        await wire.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + content)
        answer = await wire.read()
    assert (answer.status, answer.json["status"]) == (200, "accepted")
