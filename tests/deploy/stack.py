"""The stack of deploy/compose.yaml, as seen by who starts it, breaks it and looks at it. The standard library alone."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
SERVING = ("postgres", "edge-1", "edge-2", "relay-1", "relay-2", "haproxy", "sample-stream", "sample-push")
_PATIENCE = 180.0
"""Seconds until a container has to be healthy; machines of CI are slow."""


class DrillFailed(Exception):
    """The stack does not do what it should."""


class Stack:
    """One project of compose.

    Args:
        command: The compose command, such as ["docker", "compose"].
        environment: What compose.yaml asks for, beyond our own environment.
        project: The name under which its containers, networks and volumes go.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, project: str) -> None:
        self._command = (*command, "--project-name", project, "--file", str(FILE))
        # What else is in deploy/.env would be for another stack.
        self._environment = {**os.environ, **environment, "COMPOSE_PROFILES": ""}

    def compose(self, *arguments: str) -> str:
        """Run a compose command; answers what it printed.

        Raises:
            DrillFailed: It failed.
        """
        done = subprocess.run(
            (*self._command, *arguments),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DrillFailed(
                f"compose {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-4000:]}"
            )
        return done.stdout

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a compose command whose output is read while it runs."""
        return subprocess.Popen(
            (*self._command, *arguments), env=self._environment, stdout=subprocess.PIPE, text=True
        )

    def state(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        container = self.compose("ps", "--all", "--quiet", service).split()
        if len(container) != 1:
            raise DrillFailed(f"{service} has {len(container)} containers")
        told = subprocess.run(["docker", "inspect", container[0]], capture_output=True, text=True, check=True)
        state: dict[str, Any] = json.loads(told.stdout)[0]["State"]
        return state

    def wait_healthy(self, *services: str) -> None:
        """Wait until they all are.

        Raises:
            DrillFailed: One isn't, after a while.
        """
        until = time.monotonic() + _PATIENCE
        for service in services:
            while (status := self.state(service)["Health"]["Status"]) != "healthy":
                if time.monotonic() > until:
                    raise DrillFailed(f"{service} is {status}")
                time.sleep(0.5)

    def expect_exit(self, code: int, *services: str) -> None:
        """Check how they ended.

        Raises:
            DrillFailed: One runs, or ended otherwise.
        """
        for service in services:
            state = self.state(service)
            if state["Running"] or state["ExitCode"] != code:
                raise DrillFailed(f"{service} should have ended with {code}: {state}")

    def lines(self, service: str, event: str) -> tuple[int, int]:
        """How many log lines of an event a service wrote before its latest start, and since then."""
        written = self.compose("logs", "--no-color", service).splitlines()
        started = [
            number
            for number, line in enumerate(written)
            if f"{service.split('-', maxsplit=1)[0]} listening" in line
        ]
        found = [
            number for number, line in enumerate(written) if f'"event":"{event}"' in line.replace(": ", ":")
        ]
        before = sum(number < started[-1] for number in found)
        return before, len(found) - before

    def logs(self) -> str:
        """The ends of all logs."""
        try:
            return self.compose("logs", "--no-color", "--tail", "30")
        except DrillFailed as error:
            return str(error)
