"""The version of Hookline before this one: its code, out of the repository's history, run beside today's."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEWEST_MIGRATION = 13
"""That of the version before."""
_FIRST_OF_THIS = "services/hookline/store/migrations/0014_ack_journal.sql"
"""What that version hadn't; the commit is found by it, so that no hash has to be right."""
_REPOSITORY = Path(__file__).parents[2]


def unpack(directory: Path) -> Path:
    """Put that version's code into the directory, and answer what has to be on Python's path."""
    added = _git("log", "--diff-filter=A", "--format=%H", "--", _FIRST_OF_THIS).decode().split()
    commit = f"{added[-1]}^" if added else "HEAD"
    archive = _git("archive", "--format=tar", commit, "services/hookline")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory / "services"


@contextmanager
def runs(code: Path) -> Iterator[None]:
    """Processes that are started in this block run this code."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(code)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _git(*arguments: str) -> bytes:
    result = subprocess.run(
        ["git", "-c", f"safe.directory={_REPOSITORY}", *arguments],
        cwd=_REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, (
        "the version before comes out of the repository's history, which has to be whole here"
        f" (git fetch --unshallow): {result.stderr.decode(errors='replace')}"
    )
    return result.stdout
