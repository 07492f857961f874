"""What the schema watch costs: microseconds per body of the edge's one core.

Three things are on the path of a webhook or beside it: `observe` queues (every webhook pays it), learning looks at what
is queued (a fiftieth of the time at most, the rest is skipped and counted), and a schema judges (inline where the
mode is "reject").
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from uuid import UUID

from bench.samples import Reading
from hookline.config.watch import Watch
from hookline.core.shape import body as shape_body
from hookline.core.shape.learner import Learner
from hookline.edge.watch.rules import build
from hookline.edge.watch.watch import SchemaWatch
from hookline.simulator.journeys import journeys
from hookline.store.session import Session

TYPE = "psychometric_score.complete"
_TYPICAL_BYTES = 1_500
_BODIES = 500
_REPEAT = 5
_EVENT = UUID(int=0)


def measure() -> Iterator[tuple[str, Reading]]:
    """All figures, by name. Takes about two seconds and touches no database."""
    rules = build("begini", Watch(mode="reject"), preset="begini")
    schema = rules.schemas[TYPE]
    bodies = _typical(_BODIES)
    large = _large(1024 * 1024)
    learner = Learner(schema.names)
    yield "schema read", _each(bodies, shape_body.read)
    yield "schema learn seen", _each(bodies, _learning(learner))
    yield "schema learn new", _each(bodies, _new_each_time)
    yield "schema learn 1 MiB", _each([large], _learning(learner))
    judge = _judging(schema.judge)
    yield "schema judge", _each(bodies, judge)
    yield "schema judge 1 MiB", _each([large], judge)
    yield "schema observe", asyncio.run(_observe(bodies))


def _each(bodies: list[bytes], work: Callable[[bytes], object]) -> Reading:
    """The least time that a body took in several rounds: what is above it is the machine's doing."""
    rounds = []
    work(bodies[0])
    for _ in range(_REPEAT):
        begun = time.process_time()  # others may be using the core
        for body in bodies:
            work(body)
        rounds.append((time.process_time() - begun) / len(bodies) * 1e6)
    size = sum(map(len, bodies)) // len(bodies)
    return Reading(min(rounds), "us/body", {"bytes": size, "rounds": rounds})


def _learning(learner: Learner) -> Callable[[bytes], None]:
    subjects = count()

    def learn(body: bytes) -> None:
        learner.see(shape_body.read(body), size=len(body), subject=next(subjects))

    for _ in range(5):
        learn(_typical(1)[0])
    learner.teach(learned=False)
    return learn


def _new_each_time(body: bytes) -> None:
    Learner().see(shape_body.read(body), size=len(body), subject=1)


def _judging(judge: Callable[..., object]) -> Callable[[bytes], None]:
    def one(body: bytes) -> None:
        assert judge(shape_body.read(body), body) is None

    return one


async def _observe(bodies: list[bytes]) -> Reading:
    """What every webhook pays, with a queue that is full as often as under load."""
    rules = build("begini", Watch(), preset="begini")
    watch = SchemaWatch({"begini": rules}, Session("", name="bench"))
    return _each(bodies, lambda body: watch.observe("begini", TYPE, body, _EVENT))


def _typical(number: int) -> list[bytes]:
    """Begini's main event with as many traits as make it typically long; a shape of few variants."""
    made: list[bytes] = []
    for journey in journeys(Random(1), number * 2 + 10):
        for document in journey.documents:
            if document.event_type == TYPE:
                envelope = json.loads(document.body)
                traits = envelope["event"]["details"]["calculated"]["traits"]
                spare = (_TYPICAL_BYTES - len(document.body)) // len(json.dumps(traits[0])) + 1
                traits += [traits[0]] * spare
                made.append(json.dumps(envelope, separators=(",", ":")).encode())
    return made[:number]


def _large(size: int) -> bytes:
    """The same with more traits than anybody has."""
    [body] = _typical(1)
    envelope = json.loads(body)
    traits = envelope["event"]["details"]["calculated"]["traits"]
    envelope["event"]["details"]["calculated"]["traits"] = traits * (size // len(json.dumps(traits)))
    return json.dumps(envelope).encode()


if __name__ == "__main__":
    for name, reading in measure():
        print(f"{name:<24} {reading.value:>10.1f} {reading.unit}")
