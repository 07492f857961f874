"""`make compose-test`: is anything lost when parts of the stack die under load?

Starts deploy/compose.yaml as a project of its own, on free ports and fresh data, and plays applicants' journeys through
it. In the middle of them an edge and a relay are killed, come back, and then the other two are stopped in order. At the
end every webhook has to be accounted for: answered, stored once, acted on by both consumers, and each applicant's in
order. It needs Python and an engine, and leaves nothing behind.
"""

import argparse
import secrets
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from stack import SERVING, DrillFailed, Stack

JOURNEYS = 1500
"""Applicants: some 3,700 webhooks."""
RATE = 50
"""Webhooks per second; so the load lasts for more than a minute, longer than what happens in it."""
KILLED = ("edge-1", "relay-1")
STOPPED = ("edge-2", "relay-2")
KILL_EXIT = 137
WORK = {"edge-1": "webhook", "edge-2": "webhook", "relay-1": "attempt", "relay-2": "attempt"}
"""The event of the log line that a service writes for each thing that it does."""
_START = time.monotonic()


def say(text: str) -> None:
    """Tell what happens, and when."""
    print(f"[{time.monotonic() - _START:6.1f} s] {text}", flush=True)


def environment() -> dict[str, str]:
    """Secrets and ports that nobody else has."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    ports = [str(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    names = ("HTTP_PORT", "GRPC_PORT", "GRAFANA_PORT", "PROMETHEUS_PORT")
    words = ("BEGINI_API_KEY", "POSTGRES_PASSWORD", "HOOKLINE_DATABASE_PASSWORD", "SAMPLE_DATABASE_PASSWORD")
    return {
        **dict(zip(names, ports, strict=True)),
        **{word: secrets.token_hex(24) for word in (*words, "GRAFANA_PASSWORD")},
        "HOOKLINE_SECRETS_KEY": b64encode(secrets.token_bytes(32)).decode(),
        "BIND": "127.0.0.1",
        # So that there is something in their hands whenever a relay dies.
        "SAMPLE_WORK": "0.2",
    }


def calm(stack: Stack) -> None:
    """Nothing happens: a few journeys, as `make compose-demo` plays them."""
    say("a few journeys while all is well")
    with demo(stack, journeys=20, rate=25) as lines:
        for line in lines:
            say(f"    {line}")


def storm(stack: Stack) -> None:
    """A load, and in the middle of it parts of the stack die, and come back."""
    say(f"load: {JOURNEYS} applicants, {RATE} webhooks/s")
    steps = iter((kill, come_back, stop))
    with demo(stack, journeys=JOURNEYS, rate=RATE) as lines:
        for line in lines:
            say(f"    {line}")
            if line.startswith("answered ") and (step := next(steps, None)) is not None:
                step(stack)
    if next(steps, None) is not None:
        raise DrillFailed("the load ended before everything had happened")


def kill(stack: Stack) -> None:
    """What no process survives, and none can prepare for."""
    say(f"kill -9: {', '.join(KILLED)}")
    stack.compose("kill", "-s", "SIGKILL", *KILLED)
    stack.expect_exit(KILL_EXIT, *KILLED)


def come_back(stack: Stack) -> None:
    """As a restart policy would do it; killing by hand suspends that."""
    say(f"start again: {', '.join(KILLED)}")
    stack.compose("start", *KILLED)
    stack.wait_healthy(*KILLED)
    say("they are healthy")


def stop(stack: Stack) -> None:
    """As an upgrade does it."""
    say(f"SIGTERM: {', '.join(STOPPED)}")
    began = time.monotonic()
    stack.compose("stop", *STOPPED)
    stack.expect_exit(0, *STOPPED)
    say(f"they drained and ended with 0, in {time.monotonic() - began:.1f} s")
    stack.compose("start", *STOPPED)
    stack.wait_healthy(*STOPPED)
    say("they are back and healthy")


def all_worked(stack: Stack) -> None:
    """Whoever came back took part again."""
    for service, event in WORK.items():
        before, after = stack.lines(service, event)
        say(f"{service}: {before} {event}s before its end, {after} after")
        if not before or not after:
            raise DrillFailed(f"{service} took no part before its end, or none after it")


@contextmanager
def demo(stack: Stack, *, journeys: int, rate: int) -> Iterator[Iterator[str]]:
    """The lines of a demo, which has to end well."""
    arguments = ("run", "--rm", "-T", "demo", "sample.demo", "--journeys", str(journeys), "--rate", str(rate))
    with stack.begin(*arguments) as process:
        assert process.stdout is not None, "begun with a pipe"
        yield (line.rstrip() for line in process.stdout)
    if process.returncode != 0:
        raise DrillFailed("not every webhook is accounted for")


def main() -> None:
    """Start, play, break, check, and take down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-build", action="store_true", help="use the images that are there")
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end")
    parser.add_argument("compose", nargs="+", help="the compose command, such as: docker compose")
    arguments = parser.parse_args()
    stack = Stack(arguments.compose, environment(), project="hookline-drill")
    failure = None
    try:
        say("starting the stack")
        stack.compose("up", "--detach", *([] if arguments.no_build else ["--build"]))
        stack.wait_healthy(*SERVING)
        say(f"all healthy: {', '.join(SERVING)}")
        calm(stack)
        storm(stack)
        all_worked(stack)
        stack.wait_healthy(*SERVING)
    except (DrillFailed, subprocess.CalledProcessError) as error:
        failure = str(error)
        say(f"FAILED: {failure}; the ends of the logs follow")
        print(stack.logs(), flush=True)
    finally:
        if not arguments.keep:
            say("taking it down")
            stack.compose("down", "--volumes", "--remove-orphans")
    say("compose-test failed" if failure else "compose-test passed: nothing was lost")
    sys.exit(1 if failure else 0)


if __name__ == "__main__":
    main()
