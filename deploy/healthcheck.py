"""Is the container's process ready? For Docker's HEALTHCHECK: exits with 0 if it is, else says why and exits with 1.

Without an argument it asks the status address of the edge or relay that is process 1; any other command is ready
while it runs. With one it asks that URL. It is the standard library alone: it runs every few seconds.
"""
# ruff: noqa: INP001  (a program of the image, which nobody imports)

import http.client
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

SETTINGS = {"edge": "HOOKLINE_EDGE__STATUS", "relay": "HOOKLINE_RELAY__STATUS"}
"""Where the status address of a command is said; the image sets both."""
TIMEOUT = 3.0
"""Seconds. An answer that takes longer is none: nothing is waited for in giving it."""
SHOWN = 500
"""How much of a refusal is repeated, in bytes."""


def url_of(arguments: list[str]) -> str | None:
    """What to ask a process that was started with these arguments; None: nothing."""
    for argument in arguments:
        if argument in SETTINGS:
            port = os.environ[SETTINGS[argument]].rpartition(":")[2]
            return f"http://127.0.0.1:{port}/readyz"
    return None


def problem(url: str) -> str | None:
    """Why what the URL names isn't ready; None if it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        said = answer.read(SHOWN).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: no answer ({type(error).__name__})"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else f"{url}: {answer.status} {said}"


def main() -> None:
    """Ask, and exit with the answer."""
    given = sys.argv[1] if len(sys.argv) > 1 else None
    url = given or url_of(Path("/proc/1/cmdline").read_text(encoding="utf-8").split("\0"))
    if url is not None and (why := problem(url)) is not None:
        sys.exit(why)


if __name__ == "__main__":
    main()
