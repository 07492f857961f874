"""A row per webhook, printed when its last hop is done."""

from rich.console import Console
from rich.text import Text

from hookline.demo.journal import CRM, DECISIONING, Entry
from hookline.simulator.plan import Kind

_COLUMNS = (
    ("applicant", 9),
    ("event", 28),
    ("sent as", 11),
    ("edge", 20),
    ("event id", 9),
    (CRM, 13),
    (DECISIONING, 13),
)
_SENT_AS = {
    Kind.NEW: "new",
    Kind.DUPLICATE: "twice",
    Kind.LATE: "late repeat",
    Kind.REVISION: "revision",
    Kind.FORGED: "forged",
}
_STYLES = {"accepted": "green", "duplicate": "yellow"}


def print_head(console: Console) -> None:
    """Print the names of the hops."""
    console.print(_line([(name, "bold") for name, _ in _COLUMNS]))
    console.print(Text("  ".join("─" * width for _, width in _COLUMNS), style="dim"))


def print_row(console: Console, entry: Entry) -> None:
    """Print what happened to one webhook; times count from its first byte sent."""
    answer = entry.answer
    word = answer.status or "refused"
    style = _STYLES.get(word, "red")
    ms = answer.elapsed.total_seconds() * 1000
    edge = (
        f"{answer.reply.status} {word} {ms:.0f} ms" if entry.is_accepted else f"{answer.reply.status} {word}"
    )
    # Revisions share an id's first half, so both ends are shown.
    event_id = f"{str(answer.event_id)[:4]}…{str(answer.event_id)[-4:]}" if answer.event_id else "—"
    cells = [
        (f"no. {answer.item.journey}", "dim"),
        (answer.item.event_type, ""),
        (_SENT_AS[answer.item.kind], "dim" if answer.item.kind is Kind.NEW else "bold"),
        (edge, style),
        (event_id, "dim" if word == "duplicate" else ""),
        (_acked(entry, CRM), "cyan"),
        (_acked(entry, DECISIONING), "cyan"),
    ]
    console.print(_line(cells))


def _acked(entry: Entry, subscription: str) -> str:
    at = entry.acked_at.get(subscription)
    return "—" if at is None else f"acked {(at - entry.sent_at) * 1000:.0f} ms"


def _line(cells: list[tuple[str, str]]) -> Text:
    line = Text(no_wrap=True)
    for (cell, style), (_, width) in zip(cells, _COLUMNS, strict=True):
        line.append(cell.ljust(width)[:width] + "  ", style=style)
    return line
