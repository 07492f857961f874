"""A database URL that can't be used is explained without any part of it."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from hookline.config import Settings
from hookline.config.database_url import checked
from hookline.errors import ConfigError

CANARY = "hunter2canary"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/x",
        "postgres://user:secret@db.example.com:5432/x?sslmode=require",
        "postgresql:///x",
        "postgresql://",
        "postgresql://postgres@/postgres?host=/tmp/a%20directory",
        "postgresql://user@a:5432,b:5433,c/x",
        "postgresql://user:p@[::1]:5432/x",
        "postgresql://user:p@[fe80::1]/x?port=5433",
        "postgresql://user:p@%2Fvar%2Frun/x",
        "postgresql://user:p,q;=&!@h/x",
        f"postgresql://user:{quote('/?#@:[]% ü', safe='')}@h:1/x",
    ],
)
def test_what_the_driver_takes_is_taken_as_it_stands(url: str) -> None:
    assert checked(url, where="database.url") == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://u:{CANARY}/x@h/d", "%2F"),
        (f"postgresql://u:12/{CANARY}@h/d", "%2F"),
        (f"postgresql://u:{CANARY}?x@h/d", "%3F"),
        (f"postgresql://u:12?x={CANARY}@h/d", "%3F"),
        (f"postgresql://u:{CANARY}#x@h/d", "%23"),
        (f"postgresql://u:12#{CANARY}@h/d", "%23"),
        (f"postgresql://u:x@{CANARY}@h/d", "%40"),
        (f"postgresql://u:[{CANARY}@h/d", "%5B"),
        (f"postgresql://u:[{CANARY}]@h/d", "%5B"),
        (f"postgresql://u:p@h:{CANARY}/d", "a port"),
        ("postgresql://u:p@h:99999/d", "a port"),
        ("postgresql://u:p@[::1/d", "brackets"),
        ("postgresql://u:p@a,,b/d", "a host"),
        (f"postgresql://u:{CANARY} x@h/d", "a space"),
        (f"postgresql://u:{CANARY}@h/d\n", "a space or a control character"),
        (f"postgresql://u:{CANARY}\x1b[2J@h/d", "a control character"),
        (f"postgresql://u@h/d?{CANARY}", "NAME=VALUE"),
        (f"postgresql://u@h/d?port={CANARY}", "a port in its query"),
        (f"{CANARY}:x@h/d", 'begin with "postgresql://"'),
        (f"host=h password={CANARY}", "a space"),
        (f"postgresql+asyncpg://u:{CANARY}@h/d", 'begin with "postgresql://"'),
        ("", 'begin with "postgresql://"'),
    ],
)
def test_what_it_refuses_is_explained_and_not_repeated(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(url, where="database.url")
    message = str(caught.value)
    assert message.startswith("database.url can't be used: ")
    assert says in message
    assert CANARY not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_message_names_the_setting_that_is_wrong() -> None:
    for settings, where in (
        (Settings(database_url="x"), "HOOKLINE_DATABASE_URL"),
        (Settings(database={"url": "x"}), "database.url"),
    ):
        with pytest.raises(ConfigError, match=rf"^{where} can't be used"):
            settings.dsn()


def test_a_command_says_it_in_one_line(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    result = subprocess.run(
        [sys.executable, "-m", "hookline", "migrate"],
        env={**environment, "HOOKLINE_DATABASE_URL": f"postgresql://u:p{CANARY}/x@h/d"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("hookline: HOOKLINE_DATABASE_URL can't be used: ")
    assert len(result.stderr.splitlines()) == 1
    assert CANARY not in result.stderr
