"""What one look has found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hookline.errors import HooklineError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found."""

    check: str
    """Stable, for programs: such as "database.fsync"."""
    level: Level
    found: str
    """For people."""
    fix: str = ""
    """What to do about it; "" if nothing has to be done."""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, fix: str) -> Finding:
    """It works, and may hurt later."""
    return Finding(check, "warning", found, fix)


def problem(check: str, found: str, fix: str) -> Finding:
    """It doesn't work, or what Hookline promises isn't true."""
    return Finding(check, "problem", found, fix)


def of_error(check: str, error: HooklineError) -> Finding:
    """A problem out of an error of ours: those say what is wrong, then, behind a semicolon, how to mend it."""
    found, _, fix = str(error).rpartition("; ")
    return (
        problem(check, found, fix) if found else problem(check, fix, "see the documentation of this setting")
    )


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all."""
    levels = {finding.level for finding in findings}
    return "problem" if "problem" in levels else "warning" if "warning" in levels else "ok"
