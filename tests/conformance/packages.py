"""What the JavaScript consumer needs, installed by its lock into build/, which git ignores."""

import fcntl
import shutil
import subprocess
from pathlib import Path

_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")


def node() -> str:
    """The program; a test that can't run fails, for nobody would notice that it was skipped."""
    return _program("node")


def install() -> Path:
    """The directory that has them; installs them if they aren't what the lock says."""
    directory = _HERE.parent.parent / "build" / "conformance"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "installing").open("w") as installing:
        fcntl.flock(installing, fcntl.LOCK_EX)  # one worker at a time
        _install(directory)
    return directory


def _install(directory: Path) -> None:
    installed = directory / "installed.json"
    lock = (_HERE / "package-lock.json").read_text(encoding="utf-8")
    if not installed.exists() or installed.read_text(encoding="utf-8") != lock:
        for name in _FILES:
            shutil.copy(_HERE / name, directory / name)
        run = subprocess.run(
            [_program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert run.returncode == 0, f"npm can't install what tests/conformance needs:\n{run.stderr}"
        installed.write_text(lock, encoding="utf-8")


def _program(name: str) -> str:
    program = shutil.which(name)
    assert program is not None, (
        f"no {name}: the JavaScript consumer in tests/conformance needs Node.js 20 or newer with npm; install it,"
        " or leave these tests out with `make test ARGS=--ignore=tests/conformance`"
    )
    return program
