"""The condition of a subscription: what it can ask, what a mistake is answered with, and what no body can do to it."""

import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.core import expression
from hookline.core.document import DEEPEST, MOST_VALUES
from hookline.core.expression import Expression
from hookline.core.expression_text import ExpressionText
from hookline.core.filter import Filter
from hookline.model import LoggedEvent
from unit.logged_event import logged_event

BODY = {
    "uid": "u1",
    "score": 7,
    "ratio": 0.5,
    "nothing": None,
    "device": {"os": "android"},
    "items": [{"price": 3}, {"price": 9}],
}
EVENT = logged_event(
    ordering_key="key",
    headers=(("Content-Type", "application/json"), ("x-twice", "first"), ("x-twice", "second")),
    body=json.dumps(BODY).encode(),
)


def filter_(text: str) -> Filter:
    return Filter(sources=["*"], types=["*"], expression=text)


def verdict(text: str, body: bytes) -> bool | None:
    """What the filter says; None if it couldn't, and delivers."""
    wanted = filter_(text)
    matches = wanted.matches(logged_event(body=body))
    if wanted.failures:
        assert matches, "what can't be judged is delivered"
        return None
    return matches


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('source == "begini"', True),
        ('type.startsWith("application.")', True),
        ('type == "other"', False),
        ('ordering_key == "key"', True),
        ('headers["content-type"] == "application/json"', True),
        ('headers["x-twice"] == "first"', True),
        ('"x-other" in headers', False),
        ("body.score > 5 && body.score <= 7.0", True),
        ("body.nothing == null", True),
        ('has(body.device.os) && body.device.os != "android"', False),
        ("has(body.other)", False),
        ("body.items.exists(item, item.price > 5)", True),
        ("body.items.all(item, item.price > 5)", False),
        ("size(body.items.filter(item, item.price > 5)) == 1", True),
        ("body.items.map(item, item.price) == [3, 9]", True),
        ('body.uid.matches("^u[0-9]$")', True),
        ('type(body) == map && type == "application.complete"', True),
        ('size(body) == 6 && body["score"] == 7', True),
        ("body.items[1].price == 9 // the second", True),
        ('timestamp("2026-01-01T00:00:00Z").getFullYear() == 2026', True),
    ],
)
def test_it_asks_about_the_event(text: str, *, wanted: bool) -> None:
    subscription = filter_(text)
    assert subscription.matches(EVENT) is wanted
    assert subscription.failures == 0


@pytest.mark.parametrize(
    "text",
    [
        "body.other == 1",
        "body.score",
        "body.uid > 5",
        "body.items[7].price == 1",
        'headers["x-other"] == "1"',
        "body.score / 0 == 1",
        "int(body.uid) == 1",
        '"a".matches("(")',
        "null",
        '"true"',
        "body.items.map(item, item)",
    ],
)
def test_an_event_for_which_it_can_t_answer_is_delivered_and_counted(text: str) -> None:
    subscription = filter_(text)
    assert [subscription.matches(EVENT) for _ in range(3)] == [True] * 3
    assert subscription.failures == 3


@pytest.mark.parametrize("globs", [{"sources": ["other"]}, {"types": ["other"]}])
def test_globs_decide_first_and_unmatched_bodies_are_not_looked_at(globs: dict[str, list[str]]) -> None:
    subscription = Filter(**{"sources": ["*"], "types": ["*"]} | globs, expression="body.other == 1")
    assert not subscription.matches(EVENT)
    assert subscription.failures == 0


def test_a_body_that_the_expression_does_not_ask_about_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr("hookline.core.document.read", refuse)
    assert Expression('source == "begini"').holds(EVENT)
    assert filter_("").matches(EVENT)
    with pytest.raises(AssertionError):
        Expression("body == null").holds(EVENT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 +", "line 1, column 4: it ends too early"),
        ('source ==\n  && "x"', "line 2, column 3: "),
        ("   ", "it ends too early"),
        ('type = "x"', "line 1, column 6: "),
        ("source == 'x", "line 1, column 11: "),
        ("event.type == 'x'", "there is no variable 'event'; there are body, headers, "),
        ("now() > 1", "there is no function 'now'; there are bytes, "),
        ("body.uid.lowerAscii() == 'x'", "there is no function 'lowerAscii'"),
        ("body.items.exists(item, item.price > 5) && item.price == 1 && thing", "'thing'"),
        ("source == 'a\0b'", "no NUL"),
        ("x" * 5000, "at most 4096 characters"),
        ("(" * 2000 + "true" + ")" * 2000, "line 1"),
        ('"\ud800" == source', "isn't a CEL expression"),
    ],
)
def test_a_mistake_in_the_text_says_where_and_what(text: str, says: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the message is looked at)
        filter_(text)
    message = str(error.value)
    assert says in message
    assert len(message) < 400
    assert "\n" not in message


@pytest.mark.parametrize("name", sorted(expression._FUNCTIONS))
def test_every_function_that_is_let_through_is_known_to_the_library(name: str) -> None:
    import cel  # noqa: PLC0415

    known = False
    for call in (f"{name}(a)", f"a.{name}()", f"a.{name}(a)"):
        for value in (
            1,
            "a",
            "1s",
            "2026-01-01T00:00:00Z",
            cel.evaluate('timestamp("2026-01-01T00:00:00Z")'),
        ):
            try:
                cel.evaluate(call, {"a": value})
            except RuntimeError as error:
                known |= "Undefined variable or function" not in str(error)
            except (TypeError, ValueError, OverflowError):
                continue
            else:
                known = True
    assert known


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4)
    ),
    max_leaves=12,
)


@given(value=json_values)
def test_whatever_json_says_the_expression_sees(value: Any) -> None:
    body = json.dumps({"value": value, "other": 1}).encode()
    kinds = {type(None): "null_type", bool: "bool", float: "double", str: "string", list: "list", dict: "map"}
    if isinstance(value, int) and not isinstance(value, bool):
        assert verdict("type(body.value) in [int, uint, double]", body) is True
        assert verdict("body.value < 0", body) is (value < 0)
    else:
        assert verdict(f"type(body.value) == {kinds[type(value)]}", body) is True
    if isinstance(value, str | list | dict):
        # The library counts a text's bytes, where CEL's definition says characters.
        size = len(value.encode()) if isinstance(value, str) else len(value)
        assert verdict(f"size(body.value) == {size}", body) is True


@settings(max_examples=300)
@given(
    text=st.sampled_from(
        ["body == null", "body.a == 1", "body.exists(x, x == 1)", 'headers["a"] == "b"', "size(body.a) > 1"]
    ),
    body=st.binary(max_size=60)
    | st.text('{}[]",:\\u0dD8fF1eE.-aN\0\ud800', max_size=60).map(lambda t: t.encode(errors="surrogatepass")),
)
def test_no_body_raises(text: str, body: bytes) -> None:
    verdict(text, body)


MIB = 1024 * 1024
ELEMENTS = MIB // 2


@pytest.mark.parametrize(
    ("body", "sees"),
    [
        (b"", True),
        (b"not json", True),
        (b"NaN", True),
        (b'{"a":"\xff"}', True),
        (b'{"a":1}{"a":1}', True),
        (b'{"a":"\\ud8', True),
        (b'{"a":"\0"}', True),
        (b'{"a":"\\u0000"}', False),
        (b'{"a":"\\ud83d"}', False),
        (b'\xef\xbb\xbf{"a":1}', False),
        (b"[" * 100_000 + b"]" * 100_000, None),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None),
        (b"[" * 100_000, None),
        (b"[" * DEEPEST + b"]" * DEEPEST, False),
        (b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), None),
        (b'{"a":' + b"9" * 100_000 + b"}", None),
        (b'{"a":' + b"9" * 400 + b"}", None),
        (b'{"a":1e999}', None),
        (b'{"a":' + b"9" * 100 + b"}", False),
        (b'{"a":"' + b"x" * MIB + b'"}', False),
        (b'{"a":"' + b"\\\\" * ELEMENTS + b'\\ud800"}', False),
        (b"[" + b",".join([b"1"] * ELEMENTS) + b"]", None),
        (b"[" + b",".join([b"1"] * (MOST_VALUES - 1)) + b"]", False),
        (json.dumps({str(number): number for number in range(MIB // 16)}).encode(), None),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_a_hostile_body_is_null_or_itself_or_delivered_and_never_raises_or_hangs(
    body: bytes,
    sees: bool | None,  # noqa: FBT001
) -> None:
    started = time.monotonic()
    assert verdict("body == null", body) is sees
    assert time.monotonic() - started < 2, "it takes well below a second"


def test_what_is_only_half_there_is_mended_and_the_rest_stays_as_it_is() -> None:
    body = rb'{"a":"x\ud83d\ude00\\ud800\ud800y\udc00\"","b":"\u00e9"}'
    assert verdict(r'body.a == "x😀\\ud800�y�\"" && body.b == "é"', body) is True


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    assert verdict("body.a == 2 && size(body) == 1", b'{"a":1,"a":2}') is True


def test_a_nul_is_a_character_like_any_other() -> None:
    assert verdict(r'body.a == "x\u0000y"', b'{"a":"x\\u0000y"}') is True


def test_what_an_expression_does_not_look_at_can_be_as_large_as_it_likes() -> None:
    body = json.dumps(
        {"a": 1, "large": [1] * (2 * MOST_VALUES), "deep": json.loads("[" * 150 + "]" * 150)}
    ).encode()
    assert verdict("body.a == 1 && !has(body.b)", body) is True
    assert verdict("body.large.size() > 1", body) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("body.l.exists(x, x == 2)", 9_000),
        ("body.l.exists(x, x == 2 && source == 'x')", 9_000),
        ('body.l.exists(x, string(x).matches("^2$"))', 9_000),
        ("body.l.exists(x, [x].exists(y, y == 2))", 9_000),
        ("size(body.l.filter(x, x == 2)) > 0", 900),
        ("size(body.l.map(x, x)) == 0", 900),
        ("body.l.exists(x, body.l[0] != x)", 900),
        ('body.l.exists(x, headers["a"] == string(x))', 900),
        ("size(body.l.map(x, body.l)) == 0", 90),
        ("body.l.exists(x, body.l.exists(y, x == y + 1))", 90),
        ('body.l.exists(x, body.l[0] != x && string(x).matches("^2$"))', 90),
    ],
)
def test_a_loop_goes_through_as_much_as_it_can_in_good_time_and_no_more(text: str, values: int) -> None:
    def said(size: int) -> bool | None:
        wanted = filter_(text)
        body = json.dumps({"l": [1] * size}).encode()
        matches = wanted.matches(logged_event(body=body, headers=(("a", "b"),)))
        return None if wanted.failures else matches

    assert said(values) is False
    started = time.monotonic()
    assert said(2 * values) is None
    assert said(ELEMENTS) is None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("body.a == 1 && has(body.b) && source == 'body'", {"a", "b"}),
        ("body . a.c == 1 // body\n", {"a"}),
        ("body.a.exists(x, x.body == 1)", {"a"}),
        ("body.a == 1 || body == null", None),
        ('body["a"] == 1', None),
        ("body.contains('a')", None),
        ("[body.a, body] == []", None),
        (r"""r'\' == source && body.a == 1 && '\' && body' == r"''" + '''b"ody'''""", {"a"}),
    ],
)
def test_the_keys_that_it_looks_at_are_read_from_its_text(text: str, keys: set[str] | None) -> None:
    assert ExpressionText(text).body_keys() == keys


def test_it_survives_bodies_from_deep_within_python_s_stack() -> None:
    def deeper(left: int) -> LoggedEvent | bool:
        return (
            deeper(left - 1)
            if left
            else filter_("body == null").matches(logged_event(body=b"[" * 900 + b"]" * 900))
        )

    assert deeper(sys.getrecursionlimit() // 2) is True
