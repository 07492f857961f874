"""A directory to run `hookline` in, and a server that is stopped whatever a test leaves behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; a server that a killed `run` orphaned is ended with the test."""
    data = tmp_path / "data"
    yield data
    pidfile = data / "postgres" / "postmaster.pid"
    if pidfile.exists():
        os.kill(int(pidfile.read_text(encoding="ascii").split("\n", 1)[0]), signal.SIGQUIT)
