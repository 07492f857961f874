"""A consumer in another language, on nothing but proto/: what it reports is what the database says."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from conformance import packages
from path.rig.database import connect, cursors
from path.rig.events import append, event
from path.rig.process import RelayProcess, write_config

PROTO = Path(__file__).parent.parent.parent / "proto"
WISHES = ("ack", "retry", "reject", "release", "extend", "expire", "batch")
HEADERS = (("content-type", "application/json"), ("x-unicode", "Zürich"))
PREFIX = "SETTLEMENT_FAILURE_REASON_"
TABLES: dict[str, dict[str, Any]] = {
    "relay": {"heartbeat": "200ms", "poll": "50ms"},
    "subscriptions.stream": {"start": "earliest", "types": ["stream"], "ack_deadline": "3s"},
    "subscriptions.stream.retry": {"wait": "fixed", "delay": "100ms"},
    "subscriptions.pull": {"start": "earliest", "types": ["pull"]},
}


def body(wish: str) -> bytes:
    return json.dumps({"do": wish, "name": "Ünïcödé \u0000"}, ensure_ascii=False).encode()


async def consume(target: str) -> dict[str, Any]:
    """Run the consumer to its end and answer its report."""
    directory = await asyncio.to_thread(packages.install)
    script = Path(__file__).parent / "consumer.mjs"
    process = await asyncio.create_subprocess_exec(
        packages.node(),
        str(script),
        target,
        str(PROTO),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode() or output.decode()
    report: dict[str, Any] = json.loads(output)
    return report


async def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    async with connect(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


@pytest.mark.timeout(200)  # the first run installs packages
async def test_a_javascript_consumer_gets_settles_and_reads_what_the_database_says(
    database: str, tmp_path: Path
) -> None:
    streamed = [
        event(body(wish), shard=number, type_="stream", headers=HEADERS) for number, wish in enumerate(WISHES)
    ]
    pulled = [event(body("pull"), shard=number, type_="pull") for number in range(3)]
    await append(database, [*streamed, *pulled])
    config = write_config(tmp_path / "hookline.toml", TABLES)
    async with RelayProcess(database, config) as relay:
        report = await consume(relay.target)

    assert report["started"]["subscription"] == "stream"
    assert report["started"]["ack_deadline"] == {"seconds": "3", "nanos": 0}
    assert report["started"]["window"]["max_events"] == 100
    assert report["heartbeats"] >= 1
    assert report["ended"] == {"code": 0, "details": ""}

    # What arrived is what was stored, byte for byte, and each as often as its verdict asks for.
    stored = {str(new.event_id): new for new in (*streamed, *pulled)}
    wishes = {str(new.event_id): wish for new, wish in zip(streamed, WISHES, strict=True)}
    for delivery in (*report["received"], *report["pulled"]):
        new = stored[delivery["event_id"]]
        assert base64.b64decode(delivery["body"]) == new.body
        assert (delivery["source"], delivery["type"]) == (new.source, new.type)
        assert delivery["ordering_key"] == new.ordering_key
        assert delivery["headers"] == json.loads(new.headers)
        assert delivery["received_at"] == pytest.approx(new.received_at.timestamp(), abs=1e-5)
        assert (delivery["revision"], delivery["replay"]) == (False, "")
    arrivals = sorted((wishes[d["event_id"]], d["attempt"]) for d in report["received"])
    assert arrivals == [
        ("ack", 1),
        ("batch", 1),
        ("expire", 1),
        ("expire", 2),
        ("extend", 1),
        ("reject", 1),
        ("release", 1),
        ("release", 1),
        ("retry", 1),
        ("retry", 2),
    ]

    failures = {
        what: [name.removeprefix(PREFIX) for name in names] for what, names in report["confirmed"].items()
    }
    assert failures == {
        "ack": [],
        "ack_again": ["ALREADY_SETTLED"],
        "retry": [],
        "retry_of_the_first": ["STALE_TOKEN"],
        "ack_after_retry": [],
        "reject": [],
        "extend": [],
        "late_ack": [],
        "ack_after_extend": [],
        "release": [],
        "ack_after_release": [],
        "batch": ["INVALID_TOKEN", "NO_VERDICT", "INVALID_VERDICT"],
    }
    assert report["settled"] == {
        "ack": [],
        "reject": [],
        "release": [],
        "ack_after_release": [],
        "ack_again": [PREFIX + "ALREADY_SETTLED"],
    }
    assert [delivery["attempt"] for delivery in report["pulled"]] == [1, 1, 1, 1]
    assert report["pulled"][3]["event_id"] == report["pulled"][2]["event_id"]
    assert {what: refusal["code"] for what, refusal in report["refusals"].items()} == {
        "unknown_subscription": "NOT_FOUND",
        "no_start": "INVALID_ARGUMENT",
        "empty_window": "INVALID_ARGUMENT",
    }

    # The database says the same: all settled, two given up, and every attempt that failed written down.
    for subscription in ("stream", "pull"):
        assert all(row["pending"] == [] for row in (await cursors(database, subscription)).values())
    names = {new.event_id: wish for new, wish in zip(streamed, WISHES, strict=True)}
    dead = await rows(
        database, "SELECT subscription, event_id, state, attempt, reason FROM hookline.deliveries"
    )
    rejected = next(new.event_id for new in streamed if names[new.event_id] == "reject")
    given_up = report["pulled"][1]["event_id"]
    assert sorted((name, str(event_id), *rest) for name, event_id, *rest in dead) == [
        ("pull", given_up, "dead", 1, "no"),
        ("stream", str(rejected), "dead", 1, "makes no sense"),
    ]
    tried = await rows(
        database,
        "SELECT o.event_id, a.attempt, a.outcome, a.consumer, a.reason FROM hookline.attempts AS a"
        " JOIN hookline.outbox AS o USING (shard, seq) WHERE a.subscription = 'stream'",
    )
    assert {(names[event_id], *rest) for event_id, *rest in tried} >= {
        ("retry", 1, "retried", "javascript", "not yet"),
        ("retry", 2, "acked", "javascript", ""),
        ("reject", 1, "rejected", "javascript", "makes no sense"),
        ("expire", 1, "expired", "javascript", "ack deadline passed"),
        ("expire", 2, "acked", "javascript", ""),
    }
    assert {names[event_id] for event_id, *_ in tried} == {"retry", "reject", "expire"}
