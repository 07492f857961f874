"""The shape of bodies: what is learned, what counts as drift, and that several edges agree whatever the order."""

from datetime import timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.shape import body as shape_body
from hookline.core.shape import types as shape_types
from hookline.core.shape.lesson import Lesson
from hookline.core.shape.look import look
from hookline.core.shape.shape import MOST_PATHS, Drift, Learning, Shape
from hookline.core.shape.types import Types

LEARNING = Learning(bodies=100, time=timedelta(hours=24))
NOW = 1_800_000_000.0
INTEGER, NUMBER, STRING, NULL, OBJECT = (
    kind.value for kind in (Types.INTEGER, Types.NUMBER, Types.STRING, Types.NULL, Types.OBJECT)
)


def lesson(*bodies: Any, maps: frozenset[str] = frozenset()) -> Lesson:
    """What these bodies teach, every key being a name."""
    total = Lesson(maps=maps)
    for body in bodies:
        seen = look(body, maps).places
        total += Lesson(bodies=1, places={path: {types: 1} for path, types in seen.items()})
    return total


def learned(*bodies: Any) -> Shape:
    shape, drifts = Shape(began=NOW).after(lesson(*bodies), now=NOW, learning=LEARNING)
    assert drifts == []
    return shape


def drift_after(shape: Shape, *bodies: Any) -> tuple[Shape, list[Drift]]:
    return shape.after(lesson(*bodies), now=NOW, learning=LEARNING)


USUAL = {"uid": "A", "score": 5, "event": {"type": "x"}}


def test_what_is_learned_is_paths_and_types() -> None:
    shape = learned(USUAL, {**USUAL, "traits": [{"key": "a"}, {"key": None}, 7]})
    assert {path: shape_types.written(place.known) for path, place in shape.places.items()} == {
        "$": "object",
        "$.uid": "string",
        "$.score": "integer",
        "$.event": "object",
        "$.event.type": "string",
        "$.traits": "array",
        "$.traits[]": "integer or object",
        "$.traits[].key": "null or string",
    }
    assert (shape.bodies, shape.places["$.uid"].bodies, shape.places["$.traits"].bodies) == (2, 2, 1)


@pytest.mark.parametrize(("bodies", "is_learned"), [(99, False), (100, True)])
def test_the_learning_ends_after_so_many_bodies(bodies: int, *, is_learned: bool) -> None:
    shape, drifts = drift_after(learned(*[USUAL] * bodies), {**USUAL, "more": 1})
    assert shape.learned is is_learned
    assert bool(drifts) is is_learned


@pytest.mark.parametrize(("hours", "is_learned"), [(23.9, False), (24, True)])
def test_or_after_so_much_time(hours: float, *, is_learned: bool) -> None:
    later = NOW + hours * 3600
    shape, _ = learned(USUAL).after(lesson(USUAL), now=later, learning=LEARNING)
    assert shape.learned is is_learned
    empty, _ = Shape(began=NOW).after(Lesson(), now=later, learning=LEARNING)
    assert not empty.learned, "nothing can't be learned"


def test_a_new_path_is_drift_each_time_until_it_is_accepted() -> None:
    shape, first = drift_after(learned(*[USUAL] * 100), USUAL, {**USUAL, "more": 1}, {**USUAL, "more": "x"})
    assert first == [Drift("$.more", "new", 0, INTEGER | STRING, 2)]
    shape, again = drift_after(shape, {**USUAL, "more": 1})
    assert again == [Drift("$.more", "new", 0, INTEGER | STRING, 1)]
    _, none = drift_after(shape.accepted(), {**USUAL, "more": 1})
    assert none == []
    _, still = drift_after(shape.accepted(["$.other"]), {**USUAL, "more": 1})
    assert still == [Drift("$.more", "new", 0, INTEGER | STRING, 1)]


def test_another_type_is_drift_and_says_what_it_was_and_is() -> None:
    shape, drifts = drift_after(learned(*[USUAL] * 100), *[{**USUAL, "score": "5"}] * 3, USUAL)
    assert drifts == [Drift("$.score", "type", INTEGER, STRING, 3)]
    _, none = drift_after(shape.accepted(["$.score"]), {**USUAL, "score": "5"})
    assert none == []


def test_an_integer_where_numbers_were_is_none_and_the_opposite_is() -> None:
    numbers = learned(*[{"n": 0.5}] * 100)
    assert drift_after(numbers, {"n": 1})[1] == []
    integers = learned(*[{"n": 1}] * 100)
    assert drift_after(integers, {"n": 0.5})[1] == [Drift("$.n", "type", INTEGER, NUMBER, 1)]
    assert drift_after(integers, {"n": None})[1] == [Drift("$.n", "type", INTEGER, NULL, 1)]


def test_a_path_that_was_always_there_vanishes_after_fifty_bodies_without_it() -> None:
    without = {"uid": "A", "event": {"type": "x"}}
    shape, drifts = drift_after(learned(*[USUAL] * 100), *[without] * 49)
    assert drifts == []
    shape, drifts = drift_after(shape, without)
    assert drifts == [Drift("$.score", "vanished", INTEGER, 0, 50)]
    shape, drifts = drift_after(shape, without, without)
    assert drifts == [Drift("$.score", "vanished", INTEGER, 0, 2)]
    # Accepted, it is no longer part of the shape: back again, it is new.
    shape, drifts = drift_after(shape.accepted(), *[without] * 60)
    assert (drifts, "$.score" in shape.places) == ([], False)
    assert drift_after(shape, USUAL)[1] == [Drift("$.score", "new", 0, INTEGER, 1)]


def test_one_body_with_it_begins_the_count_anew() -> None:
    without = {"uid": "A", "event": {"type": "x"}}
    shape, _ = drift_after(learned(*[USUAL] * 1000), *[without] * 49)
    shape, _ = drift_after(shape, USUAL)
    assert drift_after(shape, *[without] * 49)[1] == []


@pytest.mark.parametrize(("present", "vanishes"), [(990, True), (980, False)])
def test_only_what_was_in_99_of_100_bodies_can_vanish(present: int, *, vanishes: bool) -> None:
    without = {"uid": "A", "event": {"type": "x"}}
    shape = learned(*[without] * (1000 - present), *[USUAL] * present)
    assert bool(drift_after(shape, *[without] * 60)[1]) is vanishes


def test_of_an_object_that_vanishes_what_was_inside_is_not_told_again() -> None:
    _, drifts = drift_after(learned(*[USUAL] * 100), *[{"uid": "A", "score": 1}] * 50)
    assert drifts == [Drift("$.event", "vanished", OBJECT, 0, 50)]


def test_a_shape_has_at_most_so_many_paths_and_counts_the_rest() -> None:
    places = {f"$.k{number}": {STRING: 2} for number in range(MOST_PATHS + 50)}
    shape, _ = Shape(began=NOW).after(Lesson(bodies=2, places=places), now=NOW, learning=LEARNING)
    assert len(shape.places) == MOST_PATHS
    assert shape.marks == {"many_paths": 100}


def test_what_turns_out_to_be_a_map_loses_its_keys() -> None:
    shape = learned({"by": {"alice": {"n": 1}, "bob": {"n": None}}})
    shape, _ = shape.after(Lesson(maps=frozenset({"$.by"})), now=NOW, learning=LEARNING)
    assert set(shape.places) == {"$", "$.by", "$.by.*", "$.by.*.n"}
    assert shape.places["$.by.*.n"].known == INTEGER | NULL


def test_it_survives_being_stored() -> None:
    shape, _ = drift_after(learned(*[USUAL] * 100), {**USUAL, "more": [1]})
    assert msgspec.json.decode(msgspec.json.encode(shape), type=Shape) == shape


KEYS = st.sampled_from(["a", "b", "c", "by"])
BODIES = st.recursive(
    st.sampled_from([None, True, 1, 0.5, "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
LESSONS = st.builds(
    lambda bodies, maps: lesson(*bodies) + Lesson(maps=frozenset(maps)),
    st.lists(BODIES, max_size=4),
    st.sets(st.sampled_from(["$", "$.by", "$.a", "$.by.*", "$.a[]", "$.by.a"]), max_size=2),
)


def outline(shape: Shape) -> tuple[dict[str, int], frozenset[str]]:
    return {path: place.seen for path, place in shape.places.items()}, shape.maps


def applied(*lessons: Lesson) -> Shape:
    shape = Shape(began=NOW)
    for one in lessons:
        shape, _ = shape.after(one, now=NOW, learning=Learning(bodies=10**6))
    return shape


@given(one=LESSONS, two=LESSONS, three=LESSONS)
def test_adding_lessons_is_commutative_and_associative_and_nothing_adds_nothing(
    one: Lesson, two: Lesson, three: Lesson
) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + Lesson() == one


@given(lessons=st.lists(LESSONS, max_size=3))
def test_edges_learn_the_same_in_any_order_together_or_one_by_one(lessons: list[Lesson]) -> None:
    shapes = [applied(*order) for order in permutations(lessons)]
    together = applied(reduce(lambda left, right: left + right, lessons, Lesson()))
    assert {str(sorted(outline(shape)[0].items())) for shape in shapes} <= {
        str(sorted(outline(together)[0].items()))
    }
    assert {shape.maps for shape in shapes} <= {together.maps}
    assert {shape.bodies for shape in shapes} <= {together.bodies}


@given(lessons=st.lists(LESSONS, min_size=1, max_size=4))
def test_learning_the_same_again_changes_no_path_and_no_type(lessons: list[Lesson]) -> None:
    assert outline(applied(*lessons, lessons[0])) == outline(applied(*lessons))


@given(body=BODIES)
def test_a_body_of_the_learned_shape_is_never_drift(body: Any) -> None:
    shape = learned(*[body] * 100)
    assert drift_after(shape, *[body] * 60)[1] == []


@given(body=BODIES, other=BODIES)
def test_a_body_of_another_shape_always_is(body: Any, other: Any) -> None:
    shape = learned(*[body] * 100)
    known, seen = look(body, ()).places, look(other, ()).places
    differs = any(not shape_types.fits(types, known.get(path, 0)) for path, types in seen.items())
    assert bool(drift_after(shape, other)[1]) is differs


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":"\\ud800"}', {"a": "\ud800"}),
        (b'{"a":1,"a":"x"}', {"a": "x"}),
        (b'{"a":"\\u0000"}', {"a": "\0"}),
        (b'{"a":-' + b"9" * 100_000 + b"}", {"a": -(10**300)}),
        (b'{"a":1e999}', {"a": 1.7976931348623157e308}),
        (b'{"a":12345678901234567890123}', {"a": 12345678901234567890123}),
        (b"null", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_whatever_json_says_is_read(body: bytes, value: Any) -> None:
    assert shape_body.read(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"junk",
        b"NaN",
        b'{"a":"\xff"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5000 + b",}",
        b'"\\ud800',
        b"[1e999," + b"[" * 100_000,
    ],
    ids=lambda value: repr(value[:10]),
)
def test_what_is_no_json_or_too_deep_for_anybody_is_unreadable(body: bytes) -> None:
    assert shape_body.read(body) is shape_body.UNREADABLE


@given(body=st.binary(max_size=80) | st.text('{}[]",:\\u0dD8fF1eE.-aN\0', max_size=80).map(str.encode))
def test_no_body_raises(body: bytes) -> None:
    value = shape_body.read(body)
    if value is not shape_body.UNREADABLE:
        assert "$" in look(value, ()).places
