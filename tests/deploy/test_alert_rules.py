"""Every alert fires when it should, keeps quiet just below, and leads to a page that says what to do."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from deploy.alert_rules import CASE_FILES, ROOT, RULE_FILES, alerts, cases, rules, runbook
from deploy.prometheus_programs import program

PARTS = ("**Means**", "**Noticed**", "**Look**", "**Causes and fixes**", "**Escalate**")


def promtool(*arguments: object) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_understands_the_rules_and_the_example_configuration() -> None:
    promtool("check", "rules", *RULE_FILES)
    promtool("check", "config", ROOT / "deploy/prometheus/prometheus.yaml")


@pytest.mark.parametrize("file", CASE_FILES, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_just_below(file: Path) -> None:
    promtool("test", "rules", file)


def test_each_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    expected = {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}
    assert {(case.alert, case.fires) for case in cases()} == expected


def test_names_are_used_once() -> None:
    names = Counter(rule.get("alert") or rule["record"] for rule in rules())
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_whom_it_wakes_what_is_wrong_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    name, annotations = str(rule["alert"]), rule["annotations"]
    assert re.fullmatch(r"Hookline([A-Z][a-z]+)+", name)
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert len(re.sub(r"\{\{.*?\}\}", "x", annotations["summary"])) <= 80
    assert len(annotations["description"]) > len(annotations["summary"])
    assert annotations["runbook_url"] == f"docs/operations/alerts.md#{name.lower()}"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert list(runbook()) == [rule["alert"].lower() for rule in alerts()]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_a_page_says_what_it_means_how_to_look_what_to_mend_and_whom_to_call(rule: dict[str, object]) -> None:
    page = runbook()[str(rule["alert"]).lower()]
    places = [page.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    assert "```promql" in page
