"""What a relay counts, and what it measures of all subscriptions: exact numbers after known deliveries."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hookline.telemetry.metrics import Metrics
from path.rig.database import connect, cursors, rows
from path.rig.events import append, append_many, event
from path.rig.relay import Relay
from path.rig.stream import RawStream
from path.rig.wait import until
from unit.scraped import Scraped

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
START = {"start": "earliest"}
OUTCOMES = ("acked", "retried", "rejected", "expired", "lost", "failed")


def metrics_of(relay: Relay) -> Metrics:
    return relay._relay._gauges._metrics


async def measured(relay: Relay) -> Scraped:
    """What a scrape says right after a measurement."""
    await relay._relay._gauges._measure()
    return Scraped.of(metrics_of(relay))


def attempts(scraped: Scraped, subscription: str = "all") -> dict[str, float]:
    """Those that there were."""
    found = scraped.values("hookline_delivery_attempts_total")
    return {outcome: number for (name, outcome), number in found.items() if name == subscription and number}


def gauges(scraped: Scraped, subscription: str = "all") -> dict[str, float]:
    """What was measured in the database, without the age."""
    names = ("backlog", "retries_waiting", "keys_blocked", "dead")
    return {name: scraped.value(f"hookline_subscription_{name}", subscription) for name in names}


def age(scraped: Scraped, subscription: str = "all") -> float:
    return scraped.value("hookline_subscription_oldest_unacked_age_seconds", subscription)


async def received(database: str, ago: timedelta, **changes: Any) -> None:
    """Commit an event that was received a while ago."""
    await append(database, [event(**changes)._replace(received_at=datetime.now(UTC) - ago)])


async def test_every_attempt_is_counted_by_how_it_ended(database: str) -> None:
    policy = {"retry": {"wait": "fixed", "delay": "20ms", "max_attempts": 3}}
    async with Relay(database, {"all": {**START, **policy}}) as relay:
        before = await measured(relay)
        assert attempts(before) == {}
        assert before.values("hookline_delivery_attempts_total") == {
            ("all", outcome): 0 for outcome in OUTCOMES
        }
        for name in ("dead_letters", "filter_failures", "lease_losses"):
            assert before.value(f"hookline_{name}_total", "all") == 0
        async with RawStream(relay.target) as stream:
            await stream.start()
            await append(database, [event(traceparent=SAMPLED), *(event(shard=n) for n in range(4))])
            first, *others = sorted(await stream.deliveries(5), key=lambda one: one.event_id)
            del first
            held = await measured(relay)
            assert held.value("hookline_subscription_in_flight", "all") == 5
            assert held.value("hookline_subscription_consumers", "all") == 1
            assert held.value("hookline_subscription_shards_owned", "all") == 8
            assert gauges(held)["backlog"] == 5
            await stream.reject(others[0], reason="never")
            for _ in range(2):
                await stream.retry(others[1])
                [others[1]] = await stream.deliveries(1)
            await stream.retry(others[1])
            await stream.retry(others[2])
            [others[2]] = await stream.deliveries(1)
            await stream.ack(others[2], others[3])
            after = await measured(relay)
    assert attempts(after) == {"rejected": 1, "retried": 4, "acked": 2}
    assert after.value("hookline_dead_letters_total", "all") == 2
    assert after.value("hookline_delivery_latency_seconds_count", "all") == 2
    assert after.value("hookline_subscription_in_flight", "all") == 1
    assert gauges(after) == {"backlog": 1, "retries_waiting": 0, "keys_blocked": 0, "dead": 2}


async def test_the_latency_names_the_trace_of_a_recorded_event_and_of_no_other(database: str) -> None:
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        await received(database, timedelta(seconds=40))
        await received(database, timedelta(seconds=7), traceparent=SAMPLED)
        await stream.ack(*await stream.deliveries(2))
        scraped = Scraped.of(metrics_of(relay))
    [exemplar] = scraped.exemplars("hookline_delivery_latency_seconds_bucket")
    assert exemplar.labels["trace_id"] == TRACE
    assert 7 <= exemplar.value < 30
    buckets = scraped.values("hookline_delivery_latency_seconds_bucket")
    assert [buckets["all", bound] for bound in ("5.0", "30.0", "60.0", "+Inf")] == [0, 1, 2, 2]
    assert 47 <= scraped.value("hookline_delivery_latency_seconds_sum", "all") < 100


async def test_events_of_which_an_expression_cannot_tell_are_counted(database: str) -> None:
    condition = {"expression": "body.event.details.score > 600"}
    async with Relay(database, {"all": {**START, **condition}}) as relay, RawStream(relay.target) as stream:
        await stream.start()
        await append(database, [event(b'{"event":{"details":{}}}'), event(b"not json", shard=1)])
        await append(database, [event(b'{"event":{"details":{"score":1}}}', shard=2)])
        assert len(await stream.deliveries(2)) == 2
        await until(
            lambda: Scraped.of(metrics_of(relay)).value("hookline_filter_failures_total", "all") == 2,
            "both are counted",
        )


async def test_shards_that_another_relay_took_over_are_counted(database: str) -> None:
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        assert Scraped.of(metrics_of(relay)).value("hookline_lease_losses_total", "all") == 0
        async with connect(database) as connection:
            await connection.execute(
                "UPDATE hookline.cursors SET epoch = epoch + 1, owner = 'thief',"
                " lease_until = now() + interval '1 hour' WHERE shard < 3"
            )
        relay.dispatcher()._ownership.nudge()
        await until(
            lambda: Scraped.of(metrics_of(relay)).value("hookline_lease_losses_total", "all") == 3,
            "three are counted",
        )
        scraped = await measured(relay)
        assert scraped.value("hookline_subscription_shards_owned", "all") == 5


async def test_giving_up_leases_is_no_loss(database: str) -> None:
    async with Relay(database) as relay:
        metrics = metrics_of(relay)
        async with RawStream(relay.target) as stream:
            await stream.start()
    assert Scraped.of(metrics).value("hookline_lease_losses_total", "all") == 0


async def test_a_subscription_that_nobody_serves_is_measured_too(database: str) -> None:
    subscriptions = {
        "alone": START,
        "unconcerned": {**START, "sources": ["stripe-*"], "types": ["invoice.?aid", "charge.[a-z]*"]},
        "partly": {**START, "sources": ["other", "beg[a-i]ni"], "types": ["late_%", "application.*"]},
    }
    await received(database, timedelta(minutes=9), source="other", type_="late_x")
    await received(database, timedelta(minutes=7), shard=1)
    await received(database, timedelta(minutes=5), shard=1, type_="invoice.paid")
    async with Relay(database, subscriptions) as relay:
        scraped = await measured(relay)
    nothing = {"backlog": 0, "retries_waiting": 0, "keys_blocked": 0, "dead": 0}
    assert gauges(scraped, "alone") == {**nothing, "backlog": 3}
    assert 540 <= age(scraped, "alone") < 600
    assert gauges(scraped, "unconcerned") == nothing
    assert age(scraped, "unconcerned") == 0
    assert gauges(scraped, "partly") == {**nothing, "backlog": 1}
    assert 420 <= age(scraped, "partly") < 480
    for name in ("in_flight", "consumers", "shards_owned"):
        assert scraped.value(f"hookline_subscription_{name}", "alone") == 0
    assert scraped.value("hookline_database_size_bytes") > 1_000_000


async def test_where_nobody_looked_far_enough_the_age_is_never_too_small(database: str) -> None:
    await append(
        database, [event()._replace(received_at=datetime.now(UTC) - timedelta(minutes=9)) for _ in range(49)]
    )
    await received(database, timedelta(minutes=8))
    await received(database, timedelta(minutes=7), source="stripe")
    async with Relay(database, {"all": {**START, "sources": ["stripe"]}}) as relay:
        first = await measured(relay)
        assert 480 <= age(first) < 540, "the wanted one is behind those that were looked at"
        async with RawStream(relay.target) as stream:
            await stream.start()
            await stream.deliveries(1)
            await until(lambda: _positions_moved(database), "the relay has read past the others")
            then = await measured(relay)
    assert gauges(then)["backlog"] == 1
    assert 420 <= age(then) < 480


async def _positions_moved(database: str) -> bool:
    return (await cursors(database))[0]["position"] == 50


async def test_far_behind_the_backlog_is_an_estimate_that_comes_close(database: str) -> None:
    await append_many(database, 4_000, shards=8)
    async with Relay(database, {"all": START}) as relay:
        scraped = await measured(relay)
    assert abs(gauges(scraped)["backlog"] - 4_000) < 200


async def test_what_is_pending_below_a_cursor_counts_with_its_age(database: str) -> None:
    await received(database, timedelta(minutes=9))
    await received(database, timedelta(minutes=1))
    async with Relay(database) as relay, RawStream(relay.target) as stream:
        await stream.start()
        first, second = await stream.deliveries(2)
        del first
        await stream.ack(second)
        assert (await cursors(database))[0]["pending"] == [1]
        scraped = await measured(relay)
    assert gauges(scraped)["backlog"] == 1
    assert 540 <= age(scraped) < 600


async def test_what_waits_for_a_retry_blocks_its_key_and_a_dead_letter_is_not_unacked(database: str) -> None:
    policy = {"ordering": "key", "retry": {"wait": "fixed", "delay": "1h"}}
    async with Relay(database, {"all": {**START, **policy}}) as relay, RawStream(relay.target) as stream:
        await stream.start()
        await received(database, timedelta(minutes=9))  # will die
        [dying] = await stream.deliveries(1)
        await stream.reject(dying)
        dead = await measured(relay)
        assert gauges(dead) == {"backlog": 0, "retries_waiting": 0, "keys_blocked": 0, "dead": 1}
        assert age(dead) == 0
        await received(database, timedelta(minutes=5))
        [failing] = await stream.deliveries(1)
        await stream.retry(failing)
        await append_many(database, 2, shards=1)

        async def parked() -> bool:
            return [row["state"] for row in await rows(database)] == ["dead", "waiting", "blocked", "blocked"]

        await until(parked, "those behind it wait as rows")
        blocked = await measured(relay)
    assert gauges(blocked) == {"backlog": 3, "retries_waiting": 1, "keys_blocked": 1, "dead": 1}
    assert 300 <= age(blocked) < 360


async def test_a_deleted_subscription_is_measured_no_more(database: str) -> None:
    async with Relay(database, {"all": START, "brief": START}) as relay:
        assert ("brief",) in (await measured(relay)).values("hookline_subscription_backlog")
        async with connect(database) as connection:
            await connection.execute(
                "UPDATE hookline.subscriptions SET deleted_at = now() WHERE name = 'brief'"
            )
        scraped = await measured(relay)
    assert "brief" not in scraped.text
    assert scraped.value("hookline_dead_letters_total", "all") == 0
