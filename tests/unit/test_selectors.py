"""How people say where in a request something is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hookline.config.selector import JoinedPlaces, Selector, parse_selector

JOINED: TypeAdapter[tuple[Selector, ...]] = TypeAdapter(JoinedPlaces)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("header:X-Event", Selector("header", "x-event")),
        ("header:webhook-id", Selector("header", "webhook-id")),
        ("query:hub.challenge", Selector("query", "hub.challenge")),
        ("query:a:b", Selector("query", "a:b")),
        ("json:/event/type", Selector("json", "/event/type")),
        ("json:/", Selector("json", "/")),
        ("json:/a~1b/~0/0", Selector("json", "/a~1b/~0/0")),
        ("field:t", Selector("field", "t")),
        ("text:a constant", Selector("text", "a constant")),
        ("id", Selector("id")),
        ("body", Selector("body")),
    ],
)
def test_each_kind_is_read(text: str, selector: Selector) -> None:
    assert parse_selector(text) == selector
    assert parse_selector(str(selector)) == selector
    assert parse_selector(selector) is selector


@pytest.mark.parametrize(
    "value",
    ["", "x", ":", "header", "header:", "json:", "query:", "text:", "field:", "id:", "id:x", "body:", "cookie:x",
     "Header:x", 5, None, [], True, " id", "json :/a"],
)  # fmt: skip
def test_what_is_none_says_what_there_is(value: object) -> None:
    with pytest.raises(
        ValueError, match=r'must say where to look: "header:NAME", "query:NAME", "json:/POINTER"'
    ):
        parse_selector(value)


@pytest.mark.parametrize("text", ["header:a b", "header:é", "header:a\n", "header:a:b", "header:(x)"])
def test_a_header_is_named_as_http_allows(text: str) -> None:
    with pytest.raises(ValueError, match='a header is named as in "header:X-Signature"'):
        parse_selector(text)


@pytest.mark.parametrize("text", ["json:a", "json:a/b", "json:$.a", "json:/a~", "json:/a~2", "json:/~/a"])
def test_a_place_in_json_is_a_json_pointer(text: str) -> None:
    with pytest.raises(
        ValueError, match=r'a place in JSON is a JSON Pointer \(RFC 6901\), as in "json:/event/type"'
    ):
        parse_selector(text)


@given(path=st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_a_pointer_s_steps_are_unescaped_as_rfc_6901_says(path: list[str]) -> None:
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
    assert parse_selector(f"json:{pointer}").path == tuple(path)


@given(text=st.text(max_size=30))
def test_whatever_is_written_is_a_place_or_a_value_error(text: str) -> None:
    try:
        selector = parse_selector(text)
    except ValueError:
        return
    assert parse_selector(str(selector)) == selector


def test_one_place_or_a_list_of_them_can_be_joined() -> None:
    assert JOINED.validate_python("id") == (Selector("id"),)
    assert JOINED.validate_python(["id", "json:/a"]) == (Selector("id"), Selector("json", "/a"))
    with pytest.raises(ValidationError, match="must name at least one place"):
        JOINED.validate_python([])
