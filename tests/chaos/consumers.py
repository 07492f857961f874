"""Consuming services as processes, and what they journal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from chaos import consumer_process
from path.rig.process import RelayProcess
from path.rig.wait import until

BOTH = ("plain", "ordered")
_numbers = count(1)


class Entry(NamedTuple):
    """A line of a journal."""

    at: int
    """Nanoseconds of the clock that all processes share."""
    kind: str
    subscription: str
    event_id: str
    attempt: int


def addresses(relays: Sequence[RelayProcess], first: int = 0) -> str:
    """A gRPC target that tries the relays one after the other."""
    ordered = [*relays[first:], *relays[:first]]
    return "ipv4:" + ",".join(relay.target for relay in ordered)


class ConsumerProcess:
    """One process that consumes `subscriptions`, from when the block begins until it ends."""

    def __init__(
        self,
        directory: Path,
        target: str,
        behaviour: str = "honest",
        *,
        seed: int = 0,
        window: int = 25,
        subscriptions: Iterable[str] = BOTH,
    ) -> None:
        self.behaviour = behaviour
        self._name = f"{behaviour}-{next(_numbers)}"
        self._journal = directory / f"{self._name}.journal"
        self._journal.touch()
        self._log = directory / f"{self._name}.log"
        self._arguments = (target, self._journal, behaviour, f"{seed} {self._name}", window, *subscriptions)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, consumer_process.__file__, *map(str, self._arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    async def ended(self) -> None:
        await until(lambda: self.has_ended, f"the {self.behaviour} consumer ends")

    async def kill(self) -> None:
        if not self.has_ended:
            self.signal(signal.SIGKILL)
            await self.ended()

    async def leave(self) -> None:
        """End it as a supervisor does."""
        self.signal(signal.SIGTERM)
        await self.ended()
        assert self._process.returncode == 0, self._log.read_text(encoding="utf-8")

    def entries(self) -> list[Entry]:
        """What it has journaled so far, whole lines only."""
        lines = self._journal.read_text(encoding="utf-8").split("\n")[:-1]
        fields = [line.split(" ") for line in lines]
        return [Entry(int(at), kind, name, event, int(attempt)) for at, kind, name, event, attempt in fields]

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()
