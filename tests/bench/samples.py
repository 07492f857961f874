"""What was measured, round by round."""

from collections.abc import Mapping
from statistics import median

from msgspec import Struct, field

from bench.memory import Memory


class Reading(Struct, frozen=True):
    """The result of one measurement."""

    value: float
    unit: str
    details: Mapping[str, object] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    """What the processes under load held, by name."""


class Sample(Struct, frozen=True):
    """A reading with its place in the run."""

    name: str
    """Subject and measure, such as "hookline ingest"."""
    round: int
    reading: Reading


class Samples:
    """All measurements of a run."""

    def __init__(self) -> None:
        self.all: list[Sample] = []

    def add(self, name: str, turn: int, reading: Reading) -> None:
        """Keep what was read in round `turn`."""
        self.all.append(Sample(name, turn, reading))

    def rounds(self, name: str) -> dict[int, float]:
        """The values of one name by round."""
        return {sample.round: sample.reading.value for sample in self.all if sample.name == name}

    def median(self, name: str) -> float | None:
        """The middle of all rounds; None if it wasn't measured."""
        values = self.rounds(name).values()
        return median(values) if values else None

    def ratio(self, above: str, below: str) -> float | None:
        """The median of the ratios within each round: what slows the machine for a while slows both."""
        over, under = self.rounds(above), self.rounds(below)
        ratios = [over[turn] / under[turn] for turn in over if turn in under]
        return median(ratios) if ratios else None

    def memory(self, subject: str, process: str) -> list[Memory]:
        """What one process of a subject held, measure by measure."""
        return [
            sample.reading.memory[process]
            for sample in self.all
            if sample.name.startswith(subject) and process in sample.reading.memory
        ]
