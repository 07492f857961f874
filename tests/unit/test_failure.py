"""A mistake of ours is logged with its place, and without what it happened to."""

from structlog import get_logger
from structlog.testing import capture_logs

from hookline.telemetry.failure import report

CANARY = "APPLICANT4711"


def choke(payload: str) -> None:
    try:
        int(payload)
    except ValueError:
        raise KeyError(payload) from None


def choke_later(payload: str) -> None:
    try:
        int(payload)
    except ValueError as error:
        raise RuntimeError(payload) from error


def told(failing: object) -> str:
    with capture_logs() as lines:
        try:
            failing(CANARY)  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001
            report(get_logger(), "it failed", error, part="this one")
    [line] = lines
    assert (line["event"], line["part"], line["log_level"]) == ("it failed", "this one", "error")
    assert CANARY not in str(line)
    failure: str = line["failure"]
    return failure


def test_the_type_and_the_places_are_told_and_no_payload() -> None:
    failure = told(choke)
    assert failure.startswith("KeyError (test_failure.py:")
    assert failure.endswith(" choke)")


def test_so_are_those_of_its_causes() -> None:
    first, second = told(choke_later).split(" from ")
    assert (first.partition(" ")[0], second.partition(" ")[0]) == ("RuntimeError", "ValueError")


def recurse(payload: str) -> None:
    recurse(payload)


def test_of_an_endless_recursion_the_ends_are_told() -> None:
    failure = told(recurse)
    assert failure.startswith("RecursionError (test_failure.py:")
    assert " more, test_failure.py:" in failure
    assert failure.count("recurse") == 29, "10 outermost places, of which one is `told`, and 20 innermost"
    assert len(failure) < 1200
