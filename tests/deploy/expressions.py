"""All PromQL that we give to people: in dashboards, rules and runbooks."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deploy.alert_rules import ROOT, RUNBOOKS, rules

DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
_VARIABLES = {
    "$__rate_interval": "1m",
    "$source": "begini",
    "$subscription": "all",
    '"SOURCE"': '"begini"',
    '"SUBSCRIPTION"': '"all"',
}
_NO_SERIES = re.compile(r"\b(?:by|on)\s*\([^)]*\)|\[[^]]*\]|\boffset\s+\w+|\b(?:and|or|unless|bool)\b")
_SERIES = re.compile(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?:\{[^}]*\})?(?![\w:]|\s*\()")


class Expression(NamedTuple):
    """PromQL, and where it stands."""

    where: str
    promql: str


def dashboard(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def panels(path: Path) -> list[dict[str, Any]]:
    """Of a dashboard, without the rows that divide it."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def of_dashboards() -> Iterator[Expression]:
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                yield Expression(f"{path.name}: {panel['title']}", _filled_in(target["expr"]))


def of_runbooks() -> Iterator[Expression]:
    text = RUNBOOKS.read_text(encoding="utf-8")
    for block in re.findall(r"^```promql\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield Expression(RUNBOOKS.name, _filled_in(line))


def of_rules() -> Iterator[Expression]:
    """Whole expressions: an alert's comes to nothing while all is well."""
    for rule in rules():
        yield Expression(rule.get("alert") or rule["record"], rule["expr"])


def selectors_of_rules() -> Iterator[Expression]:
    """What each of them reads: without that it is blind."""
    for expression in of_rules():
        for selector in selectors(expression.promql):
            yield Expression(expression.where, selector)


def selectors(promql: str) -> list[str]:
    """The series that an expression reads: `rate(a{b="c"}[5m]) > 2` reads `a{b="c"}`."""
    return _SERIES.findall(_NO_SERIES.sub(" ", promql))


def _filled_in(promql: str) -> str:
    for variable, value in _VARIABLES.items():
        promql = promql.replace(variable, value)
    return promql
