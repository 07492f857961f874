"""The figures that Hookline is held to: what each must be, what it should be, and how it is read."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from bench.samples import Samples


class Figure(Struct, frozen=True, kw_only=True):
    """One figure of the table."""

    name: str
    must: float
    goal: float | None = None
    better: Literal["more", "less"]
    digits: int
    read: Callable[[Samples], float | None]
    """Its value; None if it wasn't measured."""
    beside: Callable[[Samples], str]
    """What it was computed from."""

    def passes(self, value: float, bound: float) -> bool:
        return value >= bound if self.better == "more" else value <= bound


def _ratio(
    name: str, above: str, below: str, must: float, goal: float | None = None, *, beside: str = "ruler"
) -> Figure:
    def told(samples: Samples) -> str:
        over, under = samples.median(above), samples.median(below)
        return f"{over:,.0f}/s, {beside} {under:,.0f}/s" if over and under else ""

    return Figure(
        name=name,
        must=must,
        goal=goal,
        better="more",
        digits=2,
        read=lambda samples: samples.ratio(above, below),
        beside=told,
    )


def _single(
    name: str, sample: str, must: float, *, better: Literal["more", "less"], digits: int, beside: str
) -> Figure:
    return Figure(
        name=name,
        must=must,
        better=better,
        digits=digits,
        read=lambda samples: samples.median(sample),
        beside=lambda _: beside,
    )


def _memory(process: str) -> tuple[Figure, Figure]:
    """The most that a process held, and whether that stayed flat while it worked."""

    def most(samples: Samples) -> float | None:
        return max((held.most / 1e6 for held in samples.memory("hookline", process)), default=None)

    def growth(samples: Samples) -> float | None:
        return max((held.growth for held in samples.memory("hookline", process)), default=None)

    return (
        Figure(
            name=f"rss_mb.{process}",
            must=150,
            better="less",
            digits=0,
            read=most,
            beside=lambda _: "most in any measure",
        ),
        Figure(
            name=f"rss_growth.{process}",
            must=1.1,
            better="less",
            digits=2,
            read=growth,
            beside=lambda _: "second half over first half",
        ),
    )


FIGURES = (
    _ratio("ingest_vs_naive", "hookline ingest", "naive ingest", 2.5, beside="naive"),
    _ratio("ingest_vs_pgbench", "hookline ingest", "pgbench", 0.6, 1.0, beside="pgbench"),
    _ratio("path_vs_naive", "hookline path", "naive path", 3, beside="naive"),
    _ratio("path_vs_pgbench", "hookline path", "pgbench", 0.45, 0.75, beside="pgbench"),
    _ratio("fanout_vs_path", "hookline fanout3", "hookline path", 1.5, beside="one subscription"),
    _single("latency_ms.p50", "hookline latency p50", 5, better="less", digits=2, beside="at 500/s"),
    _single("latency_ms.p99", "hookline latency p99", 20, better="less", digits=2, beside="at 500/s"),
    _single(
        "backlog_eps", "hookline backlog", 25_000, better="more", digits=0, beside="confirmed acks per second"
    ),
    _ratio(
        "ordered_blocked_ratio", "hookline beside stuck keys", "hookline free keys", 0.9, beside="without"
    ),
    _ratio("held_snapshot_ratio", "hookline held snapshot", "hookline no snapshot", 0.95, beside="without"),
    _single(
        "redelivery_s", "hookline redelivery", 15, better="less", digits=1, beside="lease of 10 s, and 5 s"
    ),
    _single(
        "verify_us.begini", "verify_us begini", 50, better="less", digits=1, beside="of CPU, body of 1 kB"
    ),
    _single("watch_us", "schema observe", 5, better="less", digits=1, beside="of CPU, for each webhook"),
    _ratio("trace_ratio.1_percent", "hookline traced 1%", "hookline untraced", 0.95, beside="off"),
    # Only reported: who needs more throughput samples less.
    _ratio("trace_ratio.100_percent", "hookline traced 100%", "hookline untraced", 0, beside="off"),
    _single(
        "unsampled_us", "trace hooks unsampled", 10, better="less", digits=1, beside="of CPU, for each event"
    ),
    *_memory("edge"),
    *_memory("relay"),
    _ratio("ledger_growth", "hookline grown ledger", "hookline empty ledger", 0.85, beside="empty"),
    _ratio("loadgen_headroom", "trivial server", "hookline ingest", 3, beside="hookline"),
)
