"""Which webhooks and attempts get a line: all, failures, or none."""

from typing import Any
from uuid import UUID

import pytest
import structlog

from hookline.edge.lines import WebhookLines
from hookline.relay.lines import AttemptLines
from hookline.relay.observation import AttemptEnd
from hookline.telemetry import logs
from unit.log_process import AT, answer, delivery, request


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    written: list[Any] = []
    monkeypatch.setattr(logs, "_wide", written.append)
    return written


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("all", ["accepted", "duplicate", "bad_signature", "not_stored", "abandoned"]),
        ("failures", ["bad_signature", "not_stored", "abandoned"]),
        ("none", []),
    ],
)
def test_webhooks(lines: list[Any], choice: Any, told: list[str]) -> None:
    webhooks = WebhookLines(choice)
    for outcome, status in (
        ("accepted", 200),
        ("duplicate", 200),
        ("bad_signature", 401),
        ("not_stored", 503),
    ):
        webhooks.answered(request(), answer(outcome, status))
    webhooks.abandoned(request())
    assert [line.outcome for line in lines] == told


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("all", [("acked", False), ("retried", False), ("lost", False), ("rejected", True)]),
        ("failures", [("retried", False), ("lost", False), ("rejected", True)]),
        ("none", [("rejected", True)]),
    ],
)
def test_attempts_and_what_ends_dead_always(lines: list[Any], choice: Any, told: list[Any]) -> None:
    attempts = AttemptLines("all", choice)
    outcomes: list[Any] = ["acked", "retried", "lost"]
    for outcome in outcomes:
        attempts.attempt_ended(AttemptEnd(delivery(), outcome, AT))
    attempts.attempt_ended(AttemptEnd(delivery(), "rejected", AT, is_dead=True))
    assert [(line.outcome, line.dead) for line in lines] == told


def test_in_an_application_that_is_not_ours_lines_go_where_its_structlog_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_wide", None)
    monkeypatch.setattr(structlog, "is_configured", lambda: False)
    WebhookLines().answered(request(), answer("accepted", 200))
    with structlog.testing.capture_logs() as told:
        WebhookLines().answered(request(), answer("accepted", 200))
        monkeypatch.setattr(structlog, "is_configured", lambda: True)
        WebhookLines().answered(request(event_id=UUID(int=1)), answer("accepted", 200))
    [line] = told
    assert (line["event"], line["log_level"], line["event_id"]) == ("webhook", "info", str(UUID(int=1)))
    assert "timestamp" not in line, "the host's structlog says when"
