"""Places in a JSON body are found as `json.loads` and RFC 6901 say, whatever the body is."""

import json
import re
import time
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hookline.config.selector import Selector
from hookline.edge.schemes.json_places import LONGEST, JsonPlaces, is_key

NAMES = ["a", "b", "0", "1", "", "~", "/", "a/b", "~1", "é", "01", "-", "\U0001f600"]
LONE_SURROGATE = '"\\ud83d"'


def read(body: bytes, *pointers: str) -> Mapping[str, str]:
    return JsonPlaces([Selector("json", pointer) for pointer in pointers]).read(body)


class _Whole(str):
    """A whole number, as it is written."""

    __slots__ = ()


def reference(body: bytes, pointers: list[str]) -> dict[str, str]:
    """The same by building all of the document."""

    def no_number(text: str) -> None:
        del text

    document = json.loads(
        body.removeprefix(BOM_UTF8).decode(),
        parse_int=_Whole,
        parse_float=no_number,
        parse_constant=no_number,
    )
    found = {}
    for pointer in pointers:
        value = _at(document, pointer)
        if isinstance(value, _Whole) and len(value) > 40:
            continue
        if isinstance(value, str) and is_key(value):
            found[pointer] = str(value)
    return found


def _at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and re.fullmatch(r"0|[1-9][0-9]*", name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def escaped(path: list[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALARS = st.one_of(
    SHORT.map(json.dumps),
    SHORT.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        ["0", "-0", "17", "-17", "1.0", "1e5", "-0.0", "1E400", "9" * 40, "9" * 41, "-" + "9" * 39]
    ),
    st.sampled_from(["true", "false", "null", '""', '"\\u0000"', LONE_SURROGATE]),
    st.sampled_from([LONGEST, LONGEST + 1]).map(lambda length: f'"{"x" * length}"'),
)
BLANK = st.sampled_from(["", " ", "\n", "\t\r\n"])


def _object(members: list[tuple[str, str]], blank: str) -> str:
    # Names may be there twice.
    return (
        "{" + f",{blank}".join(f"{json.dumps(name)}{blank}:{value}" for name, value in members) + blank + "}"
    )


DOCUMENTS = st.recursive(
    SCALARS,
    lambda values: (
        st.builds(
            lambda items, blank: f"[{blank}" + f"{blank},".join(items) + "]",
            st.lists(values, max_size=3),
            BLANK,
        )
        | st.builds(_object, st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4), BLANK)
    ),
    max_leaves=12,
)
POINTERS = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(escaped), min_size=1, max_size=4, unique=True
)


@settings(max_examples=150, deadline=None)
@given(document=DOCUMENTS, pointers=POINTERS, mark=st.sampled_from([b"", BOM_UTF8]))
@example(document='{"a":{"b":"x"},"a":{"0":"y"}}', pointers=["/a/b", "/a/0"], mark=b"")
@example(document='{"a":"1","a":"2"}', pointers=["/a"], mark=b"")
@example(document='{"a":"1","a":null}', pointers=["/a"], mark=b"")
@example(
    document='{"a":[{"b":"x"}],"c":"\\ud800"}', pointers=["/a/0/b", "/a/00/b", "/a/-/b", "/a/1/b"], mark=b""
)
@example(document='{"":{"":"x"}}', pointers=["/", "//"], mark=b"")
@example(document='{"a/b":"x","~":"y","~1":"z"}', pointers=["/a~1b", "/~0", "/~01"], mark=b"")
@example(document='["x"]', pointers=["/0", "/1", "/a"], mark=BOM_UTF8)
def test_what_is_found_is_what_building_the_document_would_find(
    document: str, pointers: list[str], mark: bytes
) -> None:
    body = mark + document.encode()
    assert read(body, *pointers) == reference(body, pointers)


@pytest.mark.parametrize("index", ["0", "1", "2"])
def test_an_index_is_a_place_in_an_array_and_a_name_in_an_object(index: str) -> None:
    assert read(b'["a","b","c"]', f"/{index}") == {f"/{index}": "abc"[int(index)]}
    assert read(b'{"0":"a","1":"b","2":"c"}', f"/{index}") == {f"/{index}": "abc"[int(index)]}


@pytest.mark.parametrize(
    "index", ["-", "-1", "+1", "01", "1.0", " 1", "²", "\u0661", "3", "999999999999999999999", "9" * 5_000]
)  # fmt: skip
def test_no_other_spelling_of_an_index_finds_anything(index: str) -> None:
    assert read(b'["a","b","c"]', f"/{index}") == {}
    assert read(b'["a","b","\\ud800"]', f"/{index}") == {}


def test_a_number_is_the_text_that_was_sent() -> None:
    body = b'{"a":12345678901234567890,"b":-7,"c":1.0}'
    assert read(body, "/a") == {"/a": "12345678901234567890"}
    assert read(body, "/a", "/b", "/c") == {"/a": "12345678901234567890", "/b": "-7"}


def test_a_lone_surrogate_elsewhere_does_not_hide_a_key() -> None:
    body = b'{"name":"\\ud83d","a":{"b":"key"},"n":7,"list":["x"]}'
    assert read(body, "/a/b", "/name", "/n", "/list/0") == {"/a/b": "key", "/n": "7", "/list/0": "x"}


def test_bytes_that_are_not_utf_8_elsewhere_do_not_hide_a_key() -> None:
    assert read(b'{"bin":"\xff\xfe","a":"key"}', "/a") == {"/a": "key"}
    assert read(b'{"a":"\xff\xfe"}', "/a") == {}


HOSTILE = {
    "nothing": b"",
    "a byte order mark": BOM_UTF8,
    "two byte order marks": BOM_UTF8 * 2 + b'{"a":"x"}',
    "100k arrays": b"[" * 100_000,
    "100k arrays, closed": b"[" * 100_000 + b"]" * 100_000,
    "100k objects": b'{"a":' * 100_000,
    "100k objects, closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100k objects and a lone surrogate": b'{"x":"\\ud800","a":' * 100_000 + b"1" + b"}" * 100_000,
    "100k arrays beside a key": b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b',"a":"x"}',
    "10^5 digits": b'{"a":' + b"1" * 100_000 + b"}",
    "10^5 digits and a lone surrogate": b'{"a":' + b"1" * 100_000 + b',"b":"\\ud800"}',
    "10^5 digits of an exponent": b'{"a":1e' + b"9" * 100_000 + b"}",
    "a megabyte of one text": b'{"a":"' + b"x" * 1_000_000 + b'"}',
    "a megabyte of escapes": b'{"a":"' + b"\\ud800" * 170_000 + b'"}',
    "100k names": b"{" + b",".join(b'"%d":1' % number for number in range(100_000)) + b"}",
    "100k times the same name": b"{" + b",".join([b'"a":"x"'] * 100_000) + b"}",
    "100k items": b'{"a":[' + b",".join([b'"x"'] * 100_000) + b"]}",
    "invalid UTF-8": bytes(range(128, 256)),
    "UTF-16": '{"a":"x"}'.encode("utf-16"),
    "UTF-32": '{"a":"x"}'.encode("utf-32"),
    "NaN": b'{"a":NaN}',
    "a comma too many": b'{"a":"x",}',
    "single quotes": b"{'a':'x'}",
    "two documents": b'{"a":"x"}{"a":"y"}',
    "rubbish behind": b'{"a":"x"} trailing',
    "NUL behind": b'{"a":"x"}\0',
    "a comment": b'{"a":"x"/*"a":"y"*/}',
    "a control character": b'{"a":"x\n"}',
    "an escaped NUL": b'{"a":"\\u0000"}',
    "a text": b'"a"',
    "half a pair": b'{"a":"\\ud83d\\u0041"}',
    "half an escape": b'{"a":"\\u00',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_no_body_is_an_exception_or_takes_long(body: bytes) -> None:
    for pointers in (["/a"], ["/a/a"], ["/a/0"], ["/0"], ["/x/y"], ["/a", "/a/a/a", "/a/0", "/0", "/0/0"]):
        started = time.perf_counter()
        found = read(body, *pointers)
        assert time.perf_counter() - started < 2
        assert all(is_key(text) for text in found.values())


def test_what_is_no_json_holds_no_key_where_a_reader_could_disagree() -> None:
    for name in (
        "two documents",
        "rubbish behind",
        "a comma too many",
        "single quotes",
        "a comment",
        "NUL behind",
    ):
        assert read(HOSTILE[name], "/a") == {}, name


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=60), pointers=POINTERS)
def test_any_bytes_are_read_without_an_exception(body: bytes, pointers: list[str]) -> None:
    assert all(is_key(text) for text in read(body, *pointers).values())


@given(text=st.text())
def test_a_key_is_short_and_postgres_takes_it(text: str) -> None:
    assert LONGEST == 512, "Postgres' indexes take no much longer key"
    assert not is_key("")
    assert not is_key(text + "\0")
    assert not is_key(text + "\ud800")
    assert not is_key("x" * (LONGEST + 1) + text)
    clean = text.replace("\0", "")[:LONGEST].encode(errors="ignore").decode()
    assert is_key(clean) is (clean != "")
