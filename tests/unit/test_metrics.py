"""Metrics on their own: bounds, exemplars, and the text that Prometheus reads."""

import re
import threading
from pathlib import Path
from time import time

import pytest

from hookline.config import Telemetry
from hookline.telemetry import dropped, instruments
from hookline.telemetry.context import unsampled
from hookline.telemetry.counts import Distribution
from hookline.telemetry.metrics import Metrics
from unit.scraped import Scraped

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)


def metrics(**settings: int) -> Metrics:
    return Metrics(Telemetry(**settings), service="hookline-test")


def test_what_the_docs_list_is_what_is_declared() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| `([a-z_]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|",
        DOCS.read_text(),
        re.MULTILINE,
    )
    listed = {
        (name, shown, process, kind.strip(), unit.strip(" `"), tuple(re.findall(r"`([^`]+)`", labels)))
        for name, shown, process, kind, unit, labels in rows
    }
    declared = {
        (one.name, one.prometheus, one.process, one.kind, one.unit, one.labels) for one in instruments.ALL
    }
    assert listed == declared


def test_names_are_shown_as_prometheus_wants_them() -> None:
    shown = {one.name: one.prometheus for one in instruments.ALL}
    assert shown["hookline.webhooks"] == "hookline_webhooks_total"
    assert shown["http.server.request.duration"] == "http_server_request_duration_seconds"
    assert shown["hookline.commit.batch.size"] == "hookline_commit_batch_size"
    assert shown["hookline.intake.queue.bytes"] == "hookline_intake_queue_bytes"
    assert (
        shown["hookline.subscription.oldest_unacked_age"]
        == "hookline_subscription_oldest_unacked_age_seconds"
    )
    assert shown["db.client.connection.count"] == "db_client_connection_count"
    assert len(set(shown.values())) == len(instruments.ALL)


def test_beyond_the_limit_all_series_share_one_that_says_so() -> None:
    counted = metrics(max_label_values=10)
    webhooks = counted.counter(instruments.WEBHOOKS)
    for number in range(5_000):
        webhooks.of(f"source-{number}", "accepted").add()
    latency = counted.histogram(instruments.DELIVERY_LATENCY)
    for number in range(5_000):
        latency.of(f"subscription-{number}").record(0.5)
    scraped = Scraped.of(counted)
    found = scraped.values("hookline_webhooks_total")
    assert len(found) == 11
    assert found["true",] == 4_990
    assert sum(found.values()) == 5_000
    assert 'hookline_webhooks_total{otel_metric_overflow="true"} 4990' in scraped.text
    measured = scraped.values("hookline_delivery_latency_seconds_count")
    assert (len(measured), measured["true",]) == (11, 4_990)


def test_beyond_the_limit_levels_add_up_and_the_greatest_age_counts() -> None:
    counted = metrics(max_label_values=10)
    counted.watch(instruments.BACKLOG, lambda: [((f"s{n:02}",), 2) for n in range(30)])
    counted.watch(instruments.OLDEST_UNACKED_AGE, lambda: [((f"s{n:02}",), float(n % 25)) for n in range(30)])
    scraped = Scraped.of(counted)
    assert len(scraped.values("hookline_subscription_backlog")) == 11
    assert scraped.value("hookline_subscription_backlog", "true") == 40
    assert scraped.value("hookline_subscription_oldest_unacked_age_seconds", "true") == 24


def test_what_is_gone_makes_room() -> None:
    counted = metrics(max_label_values=10)
    attempts = counted.counter(instruments.DELIVERY_ATTEMPTS)
    for number in range(10):
        attempts.of(f"s{number}", "acked").add()
    attempts.forget("s3")
    attempts.of("new", "acked").add(7)
    found = Scraped.of(counted).values("hookline_delivery_attempts_total")
    assert found["new", "acked"] == 7
    assert ("s3", "acked") not in found
    assert ("true",) not in found


def test_names_that_users_choose_cannot_break_the_text() -> None:
    counted = metrics()
    hostile = 'a"b\\c\nhookline_webhooks_total 7\n# EOF\n'
    counted.counter(instruments.WEBHOOKS).of(hostile, "accepted").add(3)
    assert Scraped.of(counted).values("hookline_webhooks_total") == {(hostile, "accepted"): 3}


def test_a_value_on_a_bound_belongs_to_the_bucket_below() -> None:
    distribution = Distribution((1.0, 5.0))
    for value in (0.0, 1.0, 1.1, 5.0, 5.1, 100.0):
        distribution.record(value)
    assert distribution.counts == [2, 2, 2]
    assert (distribution.total, distribution.lowest, distribution.highest) == (112.2, 0.0, 100.0)


def test_only_what_is_traced_is_an_example() -> None:
    counted = metrics()
    latency = counted.histogram(instruments.DELIVERY_LATENCY).of("all")
    latency.record(0.02, SAMPLED)
    latency.record(0.3, unsampled())
    latency.record(7200.0)
    scraped = Scraped.of(counted)
    [exemplar] = scraped.exemplars("hookline_delivery_latency_seconds_bucket")
    assert exemplar.labels == {"trace_id": TRACE, "span_id": "b7ad6b7169203331"}
    assert exemplar.value == 0.02
    assert abs(float(exemplar.timestamp) - time()) < 60
    buckets = scraped.values("hookline_delivery_latency_seconds_bucket")
    assert (buckets["all", "0.01"], buckets["all", "0.025"]) == (0, 1)
    assert (buckets["all", "0.5"], buckets["all", "3600.0"], buckets["all", "+Inf"]) == (2, 2, 3)
    assert scraped.value("hookline_delivery_latency_seconds_count", "all") == 3


def test_who_sends_is_told_once() -> None:
    scraped = Scraped.of(metrics())
    [info] = scraped.families["target"].samples
    assert info.labels["service_name"] == "hookline-test"
    assert info.labels["service_version"]


def test_drops_are_counted_from_any_thread() -> None:
    counted = metrics()
    before = Scraped.of(counted).values("hookline_telemetry_dropped_total")
    assert set(before) == {("span",), ("metric",), ("log",)}
    threads = [
        threading.Thread(target=lambda: [dropped.count("span") for _ in range(1_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dropped.count("log", 5)
    after = Scraped.of(counted).values("hookline_telemetry_dropped_total")
    assert after["span",] - before["span",] == 4_000
    assert after["log",] - before["log",] == 5
    assert after["metric",] == before["metric",]


def test_a_reading_ends_with_its_block() -> None:
    counted = metrics()
    with counted.watching({instruments.QUEUE_EVENTS: lambda: [((), 3)]}):
        assert Scraped.of(counted).value("hookline_intake_queue_events") == 3
    assert Scraped.of(counted).values("hookline_intake_queue_events") == {}


async def test_after_the_end_it_can_still_be_read() -> None:
    counted = metrics()
    counted.counter(instruments.WEBHOOKS).of("begini", "accepted").add()
    await counted.shutdown()
    assert Scraped.of(counted).value("hookline_webhooks_total", "begini", "accepted") == 1
