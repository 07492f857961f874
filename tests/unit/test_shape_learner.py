"""What is told of bodies: names of fields, and never a value, a subject's id or any other key that is data."""

import json
import random
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.shape import body as shape_body
from hookline.core.shape.learner import Learner
from hookline.core.shape.look import DEEPEST, MOST_PLACES, fingerprint, look
from hookline.core.shape.path import collapse, is_data, name_step, step, steps


def taught(bodies: Any, *, learned: bool = False, names: Any = (), subject: Any = None) -> dict[str, int]:
    """Types by path after these bodies, each about another subject."""
    learner = Learner(names)
    for number, body in enumerate(bodies):
        learner.see(body, size=100, subject=number if subject is None else subject)
    places = learner.teach(learned=learned).places
    return {path: sum(tally.values()) for path, tally in places.items()}


def word(rng: random.Random, length: int = 8) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=length))


@pytest.mark.parametrize(
    "key",
    [
        "4711",
        "alice@example.com",
        "550e8400-e29b-41d4-a716-446655440000",
        "deadbeefdeadbeef",
        "+49",
        "AB12CD",
        "31GWWPDD5JYCB675DZ",
        "2026-11-23",
        "k" * 65,
        "a\0b",
        "\ud800",
        "a\nb",
        "",
        "http://x",
        "user48151",
    ],
)
def test_a_key_that_reads_like_data_is_left_out(key: str) -> None:
    assert is_data(key)
    assert step(key) == ".*"
    assert set(taught([{key: 1}] * 5)) == {"$", "$.*"}


@pytest.mark.parametrize(
    "key",
    [
        "uid",
        "event",
        "application_started_at",
        "line1",
        "sha256",
        "Q1",
        "x-y",
        "a b",
        "Straße",
        "*",
        'a"]b',
        "a.b",
    ],
)
def test_one_that_reads_like_a_name_is_told(key: str) -> None:
    assert set(taught([{key: 1}] * 5)) == {"$", "$" + name_step(key)}


@given(
    keys=st.lists(st.text(min_size=1, max_size=20) | st.sampled_from(["*", "[]", '"', "\\", "."]), max_size=5)
)
def test_a_path_says_which_steps_it_was_made_of(keys: list[str]) -> None:
    made = [part for key in keys for part in (step(key), "[]")]
    assert steps("$" + "".join(made)) == made


@pytest.mark.parametrize(
    ("path", "maps", "wanted"),
    [
        ("$.by.alice.n", {"$.by"}, "$.by.*.n"),
        ("$.by.alice.n", {"$.by", "$.by.*"}, "$.by.*.*"),
        ("$.by[].alice", {"$.by[]"}, "$.by[].*"),
        ("$.bystander.n", {"$.by"}, "$.bystander.n"),
        ("$.by", {"$.by"}, "$.by"),
        ('$["a.b"].c', {'$["a.b"]'}, '$["a.b"].*'),
    ],
)
def test_the_keys_of_a_map_are_left_out_of_a_path(path: str, maps: set[str], wanted: str) -> None:
    assert collapse(path, frozenset(maps)) == wanted


def test_a_name_is_told_once_it_came_with_three_subjects() -> None:
    assert set(taught([{"uid": 1}] * 2)) == {"$"}
    assert taught([{"uid": 1}] * 3) == {"$": 3, "$.uid": 3}
    assert set(taught([{"uid": 1}] * 30, subject="the same")) == {"$"}


def test_a_name_that_a_schema_knows_is_told_at_once() -> None:
    assert taught([{"uid": {"x": 1}}], names=["uid"]) == {"$": 1, "$.uid": 1}


def test_after_the_learning_what_is_not_named_yet_is_told_without_its_name() -> None:
    assert taught([{"jane": {"doe": 1}}], learned=True) == {"$": 1, "$.*": 1}


def test_an_object_to_which_ever_new_keys_come_is_a_map_and_was_never_told_otherwise() -> None:
    rng = random.Random(1)
    learner = Learner()
    told: set[str] = set()
    for number in range(200):
        learner.see({"type": "x", "by": {word(rng): {"score": number}}}, size=50, subject=number)
        if number % 7 == 6:
            told |= set(learner.teach(learned=number > 100).places)
    lesson = learner.teach(learned=True)
    assert lesson.maps == {"$.by"}
    assert told | set(lesson.places) == {"$", "$.type", "$.by", "$.by.*", "$.by.*.score"}


def test_names_of_people_who_come_back_are_not_told_either_where_many_come() -> None:
    rng = random.Random(2)
    people = [word(rng) for _ in range(300)]
    learner = Learner()
    told: set[str] = set()
    for number in range(600):
        # A few come often, most come seldom.
        person = people[min(int(rng.paretovariate(0.7)) - 1, 299)] if number % 2 else rng.choice(people)
        learner.see({"by": {person: 1}}, size=50, subject=number)
        if number % 20 == 19:
            told |= set(learner.teach(learned=False).places)
    assert not told & {f"$.by.{person}" for person in people}


def test_a_wide_object_with_optional_fields_is_no_map() -> None:
    rng = random.Random(3)
    fields = [f"field_{word(rng)}" for _ in range(120)]
    bodies = [dict.fromkeys(rng.sample(fields, 40), 1) for _ in range(200)]
    assert set(taught(bodies)) == {"$"} | {f"$.{name}" for name in fields}


def test_what_another_edge_has_told_is_a_name_and_a_map_here_too() -> None:
    learner = Learner()
    learner.know(["$", "$.uid"], frozenset({"$.by"}))
    learner.see({"uid": "A", "by": {"alice": 1}, "other": 1}, size=50, subject=1)
    assert set(learner.teach(learned=False).places) == {"$", "$.uid"}
    learner.see({"by": {"bob": 1}}, size=50, subject=2)
    learner.see({"by": {"eve": 1}}, size=50, subject=3)
    assert set(learner.teach(learned=False).places) == {"$", "$.by", "$.by.*"}


def test_a_key_that_does_not_come_back_is_forgotten() -> None:
    learner = Learner()
    learner.see({"rare": {"deep": 1}}, size=50, subject=1)
    for number in range(1000):
        learner.see({"usual": 1}, size=50, subject=number)
    learner.teach(learned=True)
    assert not any("rare" in path for path in learner._places)


CANARY = "canary-subject-0815-secret"
PEOPLE = ["Canaryqx", "canary.person@example.com", "CANARY1234", CANARY, "canary person", "cänaryperson"]


@given(data=st.data())
def test_no_value_and_no_key_of_one_subject_is_ever_told(data: st.DataObject) -> None:
    values = st.sampled_from([CANARY, 4711_0815, 0.4711, True, None])
    keys = st.sampled_from(["a", "b", *PEOPLE])
    bodies = st.recursive(
        values,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=10,
    )
    learner = Learner()
    told = ""
    for number in range(data.draw(st.integers(1, 12))):
        body = data.draw(bodies)
        learner.see(body, size=len(str(body)), subject="one person")
        told += repr(learner.teach(learned=bool(number % 2))) + repr(learner)
    assert "canary" not in told.lower()
    assert "cänary" not in told.lower()
    assert "4711" not in told


def test_a_body_that_was_seen_before_is_recognised_and_counted() -> None:
    learner = Learner()
    body = {"a": [{"b": 1}, {"b": 2}], "c": None}
    for rounds in range(3):
        for number in range(50):
            learner.see(body, size=50, subject=number)
        lesson = learner.teach(learned=False)
        assert lesson.bodies == 50, rounds
        assert {path: dict(tally) for path, tally in lesson.places.items()} == {
            "$": {64: 50}, "$.a": {32: 50}, "$.a[]": {64: 50}, "$.a[].b": {4: 50}, "$.c": {1: 50},
        }  # fmt: skip
    learner.see(body, size=50, subject=1)
    learner.see(body, size=50, subject=1)
    assert repr(learner) == "<Learner bodies=152 places=5 prints=1>"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {"a": 1.5}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": {"b": 1}}, {"a": {"b": None}}, False),
        ([1, 2, 3], [7], True),
        ([{"a": 1}], [{"a": 1}, {"b": 1}], False),
        ([], {}, False),
        ({"a": []}, {"a": [[]]}, False),
    ],
)
def test_bodies_of_one_shape_have_one_fingerprint(one: Any, other: Any, *, same: bool) -> None:
    assert (fingerprint(one) == fingerprint(other)) is same


JSON = st.recursive(
    st.sampled_from([None, True, 1, 0.5, "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(one=JSON, other=JSON)
def test_what_has_one_fingerprint_has_one_shape(one: Any, other: Any) -> None:
    if fingerprint(one) == fingerprint(other):
        assert look(one, ()).places == look(other, ()).places


MIB = 1024 * 1024
DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
WIDE = json.dumps({word(random.Random(number), 9): number for number in range(60_000)}).encode()


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        (b"[" + b",".join([b"1"] * (MIB // 2)) + b"]", "large"),
        (b'{"a":"' + b"x" * MIB + b'"}', ""),
        (WIDE, "wide"),
        (json.dumps({"k" * 100: 1}).encode(), "long_keys"),
        (DEEP, "deep"),
        (b"[" * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1), ""),
        (b'{"a":' + b"9" * 100_000 + b"}", ""),
        (b'{"\\ud800":"\\ud800\\u0000","a":1,"a":2}', ""),
        (b'\xef\xbb\xbf{"a":1}', ""),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_a_hostile_body_costs_little_and_is_marked(body: bytes, mark: str) -> None:
    started = time.perf_counter()
    value = shape_body.read(body)
    assert value is not shape_body.UNREADABLE
    learner = Learner()
    for number in range(5):
        learner.see(value, size=len(body), subject=number)
    lesson = learner.teach(learned=True)
    assert set(lesson.marks) - {"large" if mark == "wide" else ""} == ({mark} if mark else set())
    assert len(lesson.places) <= MOST_PLACES
    assert time.perf_counter() - started < 1


def test_memory_is_bounded_whatever_comes() -> None:
    rng = random.Random(4)
    learner = Learner()
    for number in range(60):
        body = {word(rng): {word(rng): {word(rng): 1} for _ in range(10)} for _ in range(10)}
        learner.see(body, size=3000, subject=number)
        learner.teach(learned=False)
    assert len(learner._places) <= 2_000
    assert len(learner._prints) <= 256
