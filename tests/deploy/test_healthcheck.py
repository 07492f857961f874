"""`deploy/healthcheck.py`, as Docker runs it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The URL of something that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(b"because")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the base class)
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/readyz"
        finally:
            server.shutdown()
            serving.join()


def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-ISB", PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=20
    )


def test_who_is_ready_is_healthy() -> None:
    with answering(200) as url:
        asked = ask(url)
    assert (asked.returncode, asked.stderr) == (0, "")


def test_who_refuses_is_not_and_it_says_why() -> None:
    with answering(503) as url:
        asked = ask(url)
    assert (asked.returncode, asked.stderr) == (1, f"{url}: 503 because\n")


def test_who_does_not_listen_is_not() -> None:
    with answering(200) as url:
        pass
    asked = ask(url)
    assert (asked.returncode, asked.stderr) == (1, f"{url}: no answer (ConnectionRefusedError)\n")


def test_a_command_that_serves_nothing_is_healthy_while_it_runs() -> None:
    # Process 1 here is neither an edge nor a relay.
    assert ask().returncode == 0
