"""The rules as they are in deploy/prometheus/rules, and their tests beside this file."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml"))
CASE_FILES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/operations/alerts.md"


class Case(NamedTuple):
    """What promtool is asked about an alert at one time."""

    file: str
    alert: str
    fires: bool


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """All rules of all files, those that record as well."""
    return [rule for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def cases() -> list[Case]:
    return [
        Case(path.name, case["alertname"], bool(case["exp_alerts"]))
        for path in CASE_FILES
        for test in load(path)["tests"]
        for case in test["alert_rule_test"]
    ]


def runbook() -> dict[str, str]:
    """Its sections by anchor, as GitHub makes them of headings."""
    parts = re.split(r"^### (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading.lower(): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
