"""What one edge has noticed of one source's bodies of one type, and has not written yet."""

from collections import Counter
from uuid import UUID

from hookline.core.shape import body as shape_body
from hookline.core.shape.body import UNREADABLE
from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.learner import Learner, Subject
from hookline.core.shape.lesson import Lesson
from hookline.edge.watch.rules import Rules
from hookline.store.shapes import LATE_TYPE, Change, Name, Stored

UNREADABLE_BODIES = "unreadable"
SKIPPED = "skipped"
LATE = "late_types"
_MOST_FINDINGS = 200
_LINEAGE_BYTES = 8
"""Of an event's id: they say whom it is about, where there is nothing better (`core.identity`)."""

Findings = dict[SchemaFinding, tuple[UUID | None, int]]


class Noticed:
    """How many bodies stood out since the start, of all types."""

    def __init__(self) -> None:
        self.findings: Counter[tuple[str, str]] = Counter()
        """By source and kind: "schema" for what a JSON Schema doesn't allow, else as `DriftKind`."""
        self.skipped: Counter[str] = Counter()
        """By source: there was no time to look at them."""

    def __repr__(self) -> str:
        return f"<Noticed findings={self.findings.total()} skipped={self.skipped.total()}>"


class Notes:
    """Learned, found and counted since the last write."""

    def __init__(self, name: Name, rules: Rules, noticed: Noticed) -> None:
        self.name = name
        self._noticed = noticed
        self.queued = 0
        """Bodies that wait to be looked at."""
        self.skipped = 0
        self.stored: Stored | None = None
        """What the database has; None: to be read."""
        self._rules = rules
        self._schema = rules.schemas.get(name[1])
        self._learner = Learner(rules.names(name[1]))
        self._lesson = Lesson()
        """Taught, and not known to be written."""
        self._findings: Findings = {}
        self._looked = False
        self._tried: Change | None = None
        """Given to the database, which has not answered."""
        self.is_refused = False
        """The database doesn't have it, and didn't take it."""

    def __repr__(self) -> str:
        return f"<Notes source={self.name[0]} queued={self.queued} new={self.is_new}>"

    @property
    def is_new(self) -> bool:
        """Whether there is something to write."""
        return bool(self._looked or self.skipped or self._findings or self._lesson or self._tried)

    @property
    def bodies(self) -> int:
        """How many bodies it has noticed since the last write."""
        return self._lesson.bodies + self.skipped

    def look(self, body: bytes, event_id: UUID, subject: Subject) -> None:
        """Learn from a body, and hold it against the schema if that only observes."""
        self._looked = True
        if self.name[1] == LATE_TYPE:
            self._learner.mark(LATE)
            return
        value = shape_body.read(body)
        if self._schema is not None and self._rules.mode == "observe":
            finding = self._schema.judge(value, body)
            if finding is not None:
                self.find(finding, event_id)
        if value is UNREADABLE:
            self._learner.mark(UNREADABLE_BODIES)
        else:
            self._learner.see(value, size=len(body), subject=subject or event_id.bytes[:_LINEAGE_BYTES])

    def find(self, finding: SchemaFinding, event_id: UUID | None) -> None:
        """Note what the schema doesn't allow in a body."""
        self._noticed.findings[self.name[0], "schema"] += 1
        _add(self._findings, finding, event_id, 1)

    def skip(self) -> None:
        """Note that there was no time to look at a body."""
        self._noticed.skipped[self.name[0]] += 1
        self.skipped += 1

    def meet(self, stored: Stored) -> None:
        """Take over what the database has."""
        if self._tried is not None:
            change = self._tried
            if (stored.version, stored.shape) == (change.version + 1, change.shape):
                self.written()  # it was not known whether the last write was committed
            else:
                self.refused()
        self.stored = stored
        self.is_refused = False
        self._learner.know(stored.shape.places, stored.shape.maps)

    def change(self, now: float) -> Change:
        """What is to be written. `written`, `refused` or `doubtful` says what became of it."""
        assert self.stored is not None, "meet() first"
        before = self.stored.shape
        if self.skipped:
            self._learner.mark(SKIPPED, self.skipped)
            self.skipped = 0
        self._looked = False
        self._lesson += self._learner.teach(learned=before.learned)
        shape, drifts = before.after(self._lesson, now=now, learning=self._rules.learning)
        findings, self._findings = self._findings, {}
        self._tried = Change(shape, self.stored.version, drifts, findings)
        return self._tried

    def written(self) -> None:
        """The last change is in the database."""
        assert self._tried is not None
        for drift in self._tried.drifts:
            self._noticed.findings[self.name[0], drift.kind] += drift.count
        self.stored = Stored(self._tried.version + 1, self._tried.shape)
        self._tried = None
        self._lesson = Lesson()

    def refused(self) -> None:
        """The last change is not in the database: what it said is kept, and the database is to be read again."""
        assert self._tried is not None
        for finding, (event_id, count) in self._tried.findings.items():
            _add(self._findings, finding, event_id, count)
        self.is_refused = self._tried.version == 0
        self._tried = None
        self.stored = None

    def doubtful(self) -> None:
        """Nobody knows whether the last change is in the database. It shows when that is read again."""
        self.stored = None

    def give_up(self) -> None:
        """Forget what can't be written."""
        self._lesson = Lesson()
        self._findings = {}

    def take_over(self, other: "Notes") -> None:
        """Count the bodies of another type, for which there is no room."""
        self._learner.mark(LATE, other.bodies)
        self._looked = True


def _add(findings: Findings, finding: SchemaFinding, event_id: UUID | None, count: int) -> None:
    last, before = findings.get(finding, (None, 0))
    if before or len(findings) < _MOST_FINDINGS:
        findings[finding] = (event_id or last, before + count)
