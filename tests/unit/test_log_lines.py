"""What stands in log lines: one line each, nothing in it acts on a terminal, and no exception's message."""

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from hookline.telemetry.context import unsampled
from hookline.telemetry.trace_fields import trace_fields
from hookline.telemetry.wide_line import WideLine, to_json
from unit import log_process
from unit.log_process import AT, EVENT, HOSTILE, SECRET, SPAN, TRACE


@cache
def said(format_: str, level: str = "info") -> str:
    """All that a process writes that logs what outsiders chose, and then dies of an error."""
    result = subprocess.run(
        [sys.executable, log_process.__file__, format_, level], capture_output=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout) == (1, b"")
    return result.stderr.decode()


@cache
def lines(level: str = "info") -> list[dict[str, Any]]:
    return [json.loads(line) for line in said("json", level).splitlines()]


def of(event: str, level: str = "info") -> list[dict[str, Any]]:
    return [line for line in lines(level) if line["event"] == event]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_every_line_is_one_line_and_prints_as_it_stands(format_: str) -> None:
    text = said(format_)
    assert text.endswith("\n")
    told = text[:-1].split("\n")
    assert len(told) == len(lines()) == 18
    assert all(line.isprintable() for line in told)
    assert format_ == "console" or text.isascii()


def test_json_holds_what_was_said_whatever_it_is() -> None:
    [told] = of("told")
    assert told["name"] == told["nested"]["in"][0] == HOSTILE
    assert of(HOSTILE)[0]["level"] == "warning"
    assert [line["event"] for line in lines() if line.get("logger") == "a.library"] == [
        f"said {HOSTILE}",
        "a library's log record is broken",
        "it failed",
    ]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_message_of_an_exception_is_logged_and_where_it_came_from_is(format_: str) -> None:
    assert SECRET not in said(format_)
    assert "ValueError" in said(format_)


def test_errors_that_nobody_handles_are_lines_too() -> None:
    failures = {line["event"]: line["failure"] for line in lines() if "failure" in line}
    assert list(failures) == [
        "it failed",
        "we failed",
        "Exception in callback fail",
        "Task exception was never retrieved",
        "an error was not handled: a thread ends",
        "an error was not handled: nobody could be told",
        "an error was not handled: this process ends",
    ]
    assert all("log_process.py:" in failure for failure in failures.values())


def test_the_line_of_a_webhook() -> None:
    accepted, refused, abandoned, failed = of("webhook")
    assert accepted.pop("duration_ms") > 0
    assert accepted.pop("timestamp").endswith("Z")
    assert accepted == {
        "level": "info", "event": "webhook", "source": "begini", "outcome": "accepted", "status": 200, "method": "POST",
        "client": "192.0.2.1", "type": HOSTILE,
        "event_id": str(EVENT), "bytes": 17, "trace_id": TRACE, "span_id": SPAN, "sampled": True,
    }  # fmt: skip
    assert (refused["status"], refused["method"], refused["level"]) == (401, "_OTHER", "info")
    assert not {"type", "event_id", "bytes"} & set(refused), "nothing is known of what didn't verify"
    assert (abandoned["source"], abandoned["outcome"], "status" in abandoned) == ("", "abandoned", False)
    assert (failed["status"], failed["level"]) == (503, "warning")


def test_the_line_of_an_attempt() -> None:
    acked, rejected, dead = of("attempt")
    assert acked == {
        "timestamp": "2026-01-31T12:00:00.250000Z", "level": "info", "event": "attempt", "subscription": "all",
        "outcome": "acked", "source": "begini", "type": "application.complete", "event_id": str(EVENT), "attempt": 1,
        "consumer": "scoring-1", "duration_ms": 3.5, "latency_ms": 7.25, "dead": False,
        "trace_id": TRACE, "span_id": SPAN, "sampled": True,
    }  # fmt: skip
    assert (rejected["attempt"], rejected["replay"], rejected["next_in_ms"]) == (2, 9, 1500)
    assert rejected["consumer"] == (HOSTILE + "n" * 500)[:100]
    assert rejected["type"] == "t" * 200
    assert "duration_ms" not in rejected, "another relay handed it over"
    assert rejected["span_id"] == "1" * 16, "without a span of its own, the event's"
    assert (dead["dead"], dead["level"], dead["outcome"]) == (True, "warning", "expired")


def test_a_higher_level_leaves_only_the_wide_lines_that_are_warnings() -> None:
    assert of("told", "warning") == []
    assert [line["outcome"] for line in of("webhook", "warning")] == ["not_stored"]
    assert [line["outcome"] for line in of("attempt", "warning")] == ["expired"]


def test_on_a_terminal_a_webhook_is_one_short_line() -> None:
    refused = next(line for line in said("console").splitlines() if "bad_signature" in line)
    when, told = refused.split(" ", 1)
    assert when.endswith("Z")
    assert told.split() == [
        "[info", "]", "webhook", "source=begini", "outcome=bad_signature", "status=401", "method=_OTHER",
            "client=192.0.2.1",
        next(field for field in told.split() if field.startswith("duration_ms=")), f"trace_id={TRACE}",
    ]  # fmt: skip


def test_the_trace_of_other_lines_is_read_out_of_the_traceparent() -> None:
    traceparent = unsampled()
    fields = trace_fields(traceparent)
    assert f"00-{fields['trace_id']}-{fields['span_id']}-00" == traceparent


@pytest.mark.parametrize(
    "character", ["\n", "\x00", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "é", "\ud800", "\U000e0041"]
)
def test_each_character_alone_is_escaped_in_a_wide_line(character: str) -> None:
    line = WideLine(timestamp=AT, level="info", event=f"<{character}>")
    text = to_json(line)
    assert text.isascii()
    assert text.decode().isprintable()
    assert json.loads(text)["event"] == f"<{character}>"
