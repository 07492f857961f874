"""Dashboards, rules and runbooks find their data in a real Prometheus that scrapes a running gateway."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import pytest

from deploy import expressions
from deploy.expressions import DASHBOARDS, Expression, dashboard, panels
from deploy.gateway import make_things_happen, running
from deploy.prometheus_process import PrometheusProcess
from hookline.embedded import EmbeddedPostgres
from hookline.telemetry import instruments
from path.rig.wait import until
from store.recycled import database_of

RIGHTLY_EMPTY = (
    "node_filesystem_",  # there is no node exporter here
    " offset 1d",  # nor was there a yesterday
    "hookline_certificate_",  # nobody speaks TLS
    "hookline_schema_skipped_total",  # schema watch had time for all
    'up{job=~"hookline-(edge|relay)"} == 0',  # and all of them are up
)


class Seen(NamedTuple):
    """What Prometheus answered."""

    values: dict[str, list[float]]
    """By PromQL."""
    targets: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    exemplars: list[dict[str, Any]]


def shown() -> list[Expression]:
    return [*expressions.of_dashboards(), *expressions.of_runbooks(), *expressions.selectors_of_rules()]


@pytest.fixture(scope="module")
def seen(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(_look(postgres, tmp_path_factory.mktemp("prometheus")))


async def _look(postgres: EmbeddedPostgres, directory: Path) -> Seen:
    async with (
        database_of(postgres) as database,
        running(database, directory) as gateway,
        PrometheusProcess(directory, gateway.targets) as prometheus,
    ):
        # Only what grows between two scrapes has a rate.
        await until(lambda: _all_up(prometheus), "both are scraped")
        await make_things_happen(gateway)

        await until(lambda: _has_come_through(prometheus), "rules have seen what happened")
        values = {
            expression.promql: await prometheus.values(expression.promql)
            for expression in {*shown(), *expressions.of_rules()}
        }
        exemplars = await prometheus.ask(
            "query_exemplars",
            query="hookline_delivery_latency_seconds_bucket",
            start=time() - 600,
            end=time() + 60,
        )
        return Seen(
            values,
            (await prometheus.look("targets"))["activeTargets"],
            [rule for group in (await prometheus.look("rules"))["groups"] for rule in group["rules"]],
            [example for series in exemplars for example in series["exemplars"]],
        )


async def _all_up(prometheus: PrometheusProcess) -> bool:
    return await prometheus.values("sum(up)") == [2]


async def _has_come_through(prometheus: PrometheusProcess) -> bool:
    """What happened last, the answer 503, was scraped more than once, and what is recorded last was recorded."""
    failed = await prometheus.values(
        'count_over_time(http_server_request_duration_seconds_count{http_response_status_code="503"}[1m]) > 2'
    )
    late = await prometheus.values("max(subscription:hookline_deliveries_late:ratio_rate3d) >= 0")
    return bool(failed and late)


def test_prometheus_scrapes_edge_and_relay_without_complaint(seen: Seen) -> None:
    assert sorted(
        (target["labels"]["job"], target["health"], target["lastError"]) for target in seen.targets
    ) == [("hookline-edge", "up", ""), ("hookline-relay", "up", "")]


def test_all_rules_can_be_evaluated(seen: Seen) -> None:
    assert [rule for rule in seen.rules if rule["health"] != "ok"] == []


def test_a_gateway_that_works_wakes_nobody(seen: Seen) -> None:
    assert [rule["name"] for rule in seen.rules if rule.get("state") == "firing"] == []


def test_every_expression_that_is_shown_and_every_series_that_a_rule_reads_has_data(seen: Seen) -> None:
    blind = [
        expression
        for expression in shown()
        if not any(math.isfinite(value) for value in seen.values[expression.promql])
        and not any(text in expression.promql for text in RIGHTLY_EMPTY)
    ]
    assert blind == []


def test_what_may_be_empty_is(seen: Seen) -> None:
    empty = [promql for promql, values in seen.values.items() if not values]
    assert [text for text in RIGHTLY_EMPTY if not any(text in promql for promql in empty)] == []


def test_latencies_lead_to_traces(seen: Seen) -> None:
    assert seen.exemplars
    assert {len(example["labels"]["trace_id"]) for example in seen.exemplars} == {32}


def test_every_metric_is_on_a_dashboard() -> None:
    on_panels = [expression.promql for expression in expressions.of_dashboards()]
    recorded = [rule.promql for rule in expressions.of_rules() if any(rule.where in one for one in on_panels)]
    everything = "\n".join([*on_panels, *recorded])
    assert [one.name for one in instruments.ALL if one.prometheus not in everything] == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_provisioned_anywhere(path: Path) -> None:
    content = dashboard(path)
    assert path.read_text(encoding="utf-8") == json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    assert content["uid"] == f"hookline-{path.stem}"
    assert "id" not in content
    assert {"name": "datasource", "type": "datasource", "query": "prometheus"}.items() <= content[
        "templating"
    ]["list"][0].items()
    assert set(_data_sources(content)) == {"${datasource}"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_panel_says_what_it_shows_in_which_unit(path: Path) -> None:
    for panel in panels(path):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert [target["refId"] for target in panel["targets"]] == sorted(
            {target["refId"] for target in panel["targets"]}
        )
    ids = Counter(panel["id"] for panel in dashboard(path)["panels"])
    assert set(ids.values()) == {1}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_lie_beside_each_other(path: Path) -> None:
    places: Counter[tuple[int, int]] = Counter()
    for panel in dashboard(path)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        places.update(
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        )
    assert set(places.values()) == {1}


def test_latency_panels_ask_for_exemplars() -> None:
    asked = {
        (path.stem, panel["title"])
        for path in DASHBOARDS
        for panel in panels(path)
        if any(target.get("exemplar") for target in panel["targets"])
    }
    assert {
        ("fleet", "Receipt to ack"),
        ("fleet", "Time to answer"),
        ("subscription", "Receipt to ack"),
    } <= asked


def _data_sources(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("datasource"), dict):
            yield part["datasource"]["uid"]
        for value in part.values():
            yield from _data_sources(value)
    elif isinstance(part, list):
        for value in part:
            yield from _data_sources(value)
