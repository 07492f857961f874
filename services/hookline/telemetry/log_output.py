"""Where log lines go."""

import sys
from typing import Protocol


class Output(Protocol):
    """Takes lines, given without their end."""

    def write(self, line: bytes) -> None:
        """Write one."""

    def write_urgent(self, line: bytes) -> None:
        """Write a warning or an error."""


class StandardError:
    """Writes each line before the call returns: for commands that do one thing and end."""

    def write(self, line: bytes) -> None:
        """Write one."""
        sys.stderr.write(line.decode() + "\n")
        sys.stderr.flush()

    write_urgent = write


class LevelledOutput:
    """What structlog hands rendered lines to: a method for each level."""

    def __init__(self, output: Output) -> None:
        def write(line: str) -> None:
            output.write(line.encode("utf-8", "backslashreplace"))

        def write_urgent(line: str) -> None:
            output.write_urgent(line.encode("utf-8", "backslashreplace"))

        self.debug = self.info = self.msg = write
        self.warning = self.warn = self.error = self.critical = self.fatal = write_urgent
