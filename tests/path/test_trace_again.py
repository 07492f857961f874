"""What is traced of deliveries that fail, and of those that come again, as a real collector receives it."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from hookline.model import NewEvent, SubscriptionName
from hookline.store import dead_letters, replays
from hookline.store.dead_letter_filter import DeadLetterFilter
from hookline.store.replays import Selection
from hookline.store.session import Session
from hookline.v1 import delivery_pb2 as pb
from path.rig.collector import PROTOCOLS, Collector, Protocol, ids, links, states, told, traceparent
from path.rig.database import attempts
from path.rig.events import append, event
from path.rig.process import RelayProcess, free_port, write_config
from path.rig.stream import RawStream
from relay.push_consumer import PushedTo, abort

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "vendor=opaque"
SECRET = "CANARY of the consumer"
WITHIN = timedelta(seconds=20)
NAME = SubscriptionName("all")
ERROR = 2


@asynccontextmanager
async def relaying(
    database: str, directory: Path, telemetry: dict[str, Any], push: str
) -> AsyncIterator[RawStream]:
    """A relay process that samples no trace by itself, and a consumer of what isn't pushed."""
    soon = {"wait": "fixed", "delay": "100ms", "max_attempts": 3}
    tables = {
        "subscriptions.all": {"start": "earliest", "types": ["streamed"], "ack_deadline": "1s"},
        "subscriptions.all.retry": soon,
        "subscriptions.pushed": {"start": "earliest", "types": ["pushed"], "push": push},
        "subscriptions.pushed.retry": {**soon, "max_attempts": 1},
        "relay": {"lease": "1s", "heartbeat": "200ms", "poll": "50ms"},
        "telemetry": {**telemetry, "sample_ratio": 0},
    }
    config = write_config(directory / "again.toml", tables)
    async with RelayProcess(database, config) as relay:
        async with RawStream(relay.target) as stream:
            await stream.start(consumer="tester")
            yield stream
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0


FOREIGN = f"00-{'b' * 32}-00000000000000aa-01"
"""Of a trace that a consumer began by itself."""


def sampled(context: str = SAMPLED) -> NewEvent:
    return event(type_="streamed", traceparent=context)._replace(tracestate=STATE)


def child(delivery: pb.Delivery) -> dict[str, str]:
    """The context of a consumer's own span of the delivery, as its settlement carries it."""
    trace_id = delivery.traceparent.split("-")[1]
    return {"traceparent": f"00-{trace_id}-00000000000000aa-01", "tracestate": delivery.tracestate}


async def settle(stream: RawStream, **settlement: Any) -> None:
    sequence = await stream.settle([pb.Settlement(**settlement)])
    assert not (await stream.confirmation(sequence)).failures


async def redrive(database: str) -> None:
    session = Session(database, name="test")
    assert await dead_letters.redrive(session, NAME, DeadLetterFilter(), within=WITHIN) == 1
    await session.close()


async def replay(database: str) -> int:
    session = Session(database, name="test")
    position, until_seq = await replays.bounds(session, within=WITHIN)
    created = await replays.create(
        session, NAME, Selection(), position=position, until_seq=until_seq, max_rate=0, within=WITHIN
    )
    await session.close()
    assert created is not None
    return created


def outcomes(spans: list[Any]) -> list[tuple[str, int, str, int]]:
    """Of each span: name, attempt, what became of it or what was done, and its status."""
    found = []
    for span in spans:
        known = told(span)
        what = known.get("hookline.outcome") or known["messaging.operation.name"]
        found.append((span.name, known["hookline.attempt"], what, span.status.code))
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_comes_again_is_a_root_linked_to_the_events_context(
    database: str, tmp_path: Path, protocol: Protocol
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    async with Collector() as collector:  # noqa: SIM117  (it outlives the relay)
        async with relaying(database, tmp_path, collector.settings(protocol), nobody) as stream:
            [event_id] = await append(database, [sampled()])
            [first] = await stream.deliveries(1)
            await settle(stream, token=first.token, retry=pb.Retry(reason=SECRET), **child(first))
            [second] = await stream.deliveries(1)
            await settle(stream, token=second.token, reject=pb.Reject(reason=SECRET), **child(second))
            await redrive(database)
            [third] = await stream.deliveries(1)
            await settle(stream, token=third.token, release=pb.Release())
            [fourth] = await stream.deliveries(1)
            await settle(stream, token=fourth.token, ack=pb.Ack(), traceparent=FOREIGN)
            number = await replay(database)
            [fifth] = await stream.deliveries(1)
            await settle(stream, token=fifth.token, ack=pb.Ack())
    deliveries = (first, second, third, fourth, fifth)
    assert [delivery.attempt for delivery in deliveries] == [1, 2, 1, 1, 1]
    spans = collector.about(event_id)
    assert outcomes(spans) == [
        ("deliver all", 1, "retried", ERROR),
        ("settle all", 1, "retry", 0),
        ("deliver all", 2, "rejected", ERROR),
        ("settle all", 2, "reject", 0),
        ("deliver all", 1, "released", 0),
        ("deliver all", 1, "acked", 0),
        ("settle all", 1, "ack", 0),
        ("deliver all", 1, "acked", 0),
        ("settle all", 1, "ack", 0),
    ]
    delivers = [span for span in spans if span.name == "deliver all"]
    settles = [span for span in spans if span.name == "settle all"]
    # The first attempt continues what is stored; each later one is a root that is linked to it, and to nothing else.
    assert [traceparent(span) for span in delivers] == [delivery.traceparent for delivery in deliveries]
    assert traceparent(delivers[0])[3:35] == SAMPLED[3:35]
    assert delivers[0].parent_span_id.hex() == ids(SAMPLED).split("-")[1]
    assert (delivers[0].trace_state, first.tracestate, links(delivers[0])) == (STATE, STATE, [])
    for delivery, span in zip(deliveries[1:], delivers[1:], strict=True):
        assert (span.parent_span_id, span.trace_state, delivery.tracestate) == (b"", "", "")
        assert (links(span), states(span)) == ([ids(SAMPLED)], [STATE])
    assert len({span.trace_id for span in delivers}) == 5
    # A settlement is below the consumer's span, or the hand-over's if it names none.
    assert [span.parent_span_id.hex() for span in settles] == [
        *["00000000000000aa"] * 3,
        delivers[4].span_id.hex(),
    ]
    settled_in = [span.trace_id for span in settles]
    assert settled_in == [
        *(delivers[n].trace_id for n in (0, 1)),
        bytes.fromhex("b" * 32),
        delivers[4].trace_id,
    ]
    # A consumer that began a trace of its own: there the hand-over is linked.
    assert [links(span) for span in settles] == [[], [], [ids(traceparent(delivers[3]))], []]
    assert [span.trace_state for span in settles] == [STATE, "", "", ""]
    assert [told(span).get("hookline.dead_letter") for span in delivers] == [None, True, None, None, None]
    assert [told(span).get("hookline.replay") for span in spans] == [None] * 7 + [f"replays/{number}"] * 2
    assert [told(span).get("error.type") for span in delivers] == ["retried", "rejected", None, None, None]
    assert SECRET not in str(collector.spans)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_fails_is_recorded_though_its_event_is_not_sampled(
    database: str, tmp_path: Path, protocol: Protocol
) -> None:
    async with Collector() as collector, PushedTo(abort(grpc.StatusCode.INTERNAL, SECRET)) as consumer:
        telemetry = collector.settings(protocol)
        async with relaying(database, tmp_path, telemetry, consumer.target) as stream:
            fine, late, refused = [event(type_="streamed", shard=shard) for shard in range(3)]
            pushed = event(type_="pushed", shard=3)
            await append(database, [fine, late, refused, pushed])
            held = {delivery.event_id: delivery for delivery in await stream.deliveries(3)}
            for new in (fine, late, refused):
                assert held[str(new.event_id)].traceparent == new.traceparent, "nothing is known to fail yet"
            await settle(stream, token=held[str(fine.event_id)].token, ack=pb.Ack())
            reject = pb.Reject(reason=SECRET)
            unsampled = refused.traceparent.replace(refused.traceparent.split("-")[2], "00000000000000aa")
            token = held[str(refused.event_id)].token
            await settle(stream, token=token, reject=reject, traceparent=unsampled)
            [again] = await stream.deliveries(1)
            await settle(stream, token=again.token, ack=pb.Ack())
            assert again.traceparent.endswith("-01"), "what failed is traced from its next start"
        tried = await attempts(database)
    assert collector.about(str(fine.event_id)) == []
    for new, expected in (
        (
            late,
            [
                ("deliver all", 1, "expired", ERROR),
                ("deliver all", 2, "acked", 0),
                ("settle all", 2, "ack", 0),
            ],
        ),
        (refused, [("deliver all", 1, "rejected", ERROR), ("settle all", 1, "reject", 0)]),
        (pushed, [("deliver pushed", 1, "failed", ERROR)]),
    ):
        spans = collector.about(str(new.event_id))
        assert outcomes(spans) == expected
        for span in spans:
            if span.name.startswith("deliver"):
                assert (span.parent_span_id, links(span)) == (b"", [ids(new.traceparent)])
                assert told(span).get("error.type") == (expected[0][2] if span is spans[0] else None)
    # Recorded afterwards, and yet it tells when it began.
    [expired, acked] = [span for span in collector.about(str(late.event_id)) if span.name == "deliver all"]
    assert expired.end_time_unix_nano - expired.start_time_unix_nano >= 1e9
    [handed_at] = [row["started_at"] for row in tried if (row["seq"], row["outcome"]) == (2, "expired")]
    assert abs(expired.start_time_unix_nano - handed_at.timestamp() * 1e9) < 1e6
    assert traceparent(acked) == again.traceparent
    # The consumer's context isn't sampled, so the settlement goes with what was recorded.
    [rejected, settled] = collector.about(str(refused.event_id))
    assert settled.parent_span_id == rejected.span_id
    assert told(rejected)["hookline.dead_letter"] is True
    [failed] = collector.about(str(pushed.event_id))
    assert told(failed)["messaging.client.id"] == consumer.target
    assert SECRET not in str(collector.spans)
