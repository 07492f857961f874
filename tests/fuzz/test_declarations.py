"""Whatever stands in hookline.toml about schemes, it is taken or it is a message."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fuzz.effort import FUZZ
from fuzz.hostile import TEXT
from hookline.config import Scheme as Declaration
from hookline.config.mistake import explain
from hookline.config.presets import preset_names
from hookline.config.settings import Settings
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError

CANARY = "canary-secret-4711"
KEYS = [
    "extends", "title", "docs", "signatures", "plugin", "unsafe", "content_types", "event", "success", "refusal",
    "handshakes", "algorithm", "at", "separator", "field", "prefix", "encoding", "template", "key", "timestamp", "id",
    "unit", "past", "future", "dedup", "type", "ordering_key", "repeat", "status", "headers", "body", "method", "when",
    "challenge", "verify_token", "signed", "answer", "nonsense", "",
]  # fmt: skip
WORDS = [
    *preset_names(), "hmac-sha256", "ed25519", "token", "basic", "none", "header:X-A", "query:a", "json:/a/0",
    "field:t", "id", "body", "text:x", "{body}", "{timestamp}.{body}", "{id}{body}", "{header:X-A}{body}",
    "{url}{body}", "{challenge}", "hex", "base64", "5m", "s", "ms", "GET", "POST", "duplicate", "revision", "twilio",
]  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 700), st.floats(), st.sampled_from(WORDS), TEXT),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
        | st.dictionaries(TEXT, values, max_size=2)
    ),
    max_leaves=12,
)


def _likely(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table of the right shape, of which each value can also be anything else."""
    return st.fixed_dictionaries({}, optional={key: value | ANYTHING for key, value in values.items()})


PLACE = st.sampled_from(
    ["header:X-A", "header:X-B", "query:a", "json:/a", "json:/b/0", "field:t", "id", "body"]
)
TIMESTAMP = _likely(
    at=PLACE, unit=st.sampled_from(["s", "ms", "iso8601"]), past=st.just("5m"), future=st.just("0s")
)
SIGNATURE = st.fixed_dictionaries(
    {"algorithm": st.sampled_from(["hmac-sha1", "hmac-sha256", "hmac-sha512", "token", "basic", "none"])},
    optional={
        "at": PLACE,
        "separator": st.sampled_from(["", ",", ";", " ", "é"]),
        "field": st.sampled_from(["", "v1"]),
        "prefix": st.sampled_from(["", "v0=", "Bearer "]),
        "encoding": st.sampled_from(["hex", "base64", "base64url"]),
        "template": st.sampled_from(
            ["{body}", "{timestamp}.{body}", "{id}{method}{url}{body}", "{query:a}{body}"]
        ),
        "timestamp": TIMESTAMP,
        "id": PLACE,
        "key": _likely(encoding=st.sampled_from(["utf8", "base64", "hex"]), prefix=st.just("p_")),
    },
)
HANDSHAKE = _likely(
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
    when=st.just({"json:/a": "x"}),
    challenge=PLACE,
    signed=st.booleans(),
    answer=_likely(
        status=st.just(200), body=st.sampled_from(["{challenge}", '{"a":"{challenge:hmac-sha256-hex}"}'])
    ),
)
EVENT = _likely(
    dedup=st.lists(PLACE, max_size=2), type=st.lists(PLACE, max_size=2), ordering_key=st.lists(PLACE)
)
DECLARATION = _likely(
    extends=st.sampled_from(preset_names()),
    signatures=st.lists(SIGNATURE, min_size=1, max_size=3),
    unsafe=st.booleans(),
    event=EVENT,
    handshakes=st.lists(HANDSHAKE, max_size=2),
    content_types=st.just(["application/json"]),
)
WHOLE = st.fixed_dictionaries(
    {"signatures": st.lists(SIGNATURE, min_size=1, max_size=2)}, optional={"event": EVENT}
)


@FUZZ
@given(scheme=DECLARATION | ANYTHING, further=ANYTHING)
def test_a_wrong_declaration_is_explained_on_one_line_each(scheme: Any, further: Any) -> None:
    if isinstance(scheme, dict):
        scheme = {**scheme, "secret": CANARY}
    try:
        Settings(schemes={"acme": scheme}, sources=further)
    except ValidationError as error:
        for detail in error.errors():
            line = explain("hookline.toml", detail)
            assert line.startswith("hookline.toml: ")
            assert CANARY not in line


@FUZZ
@given(values=WHOLE)
def test_a_declaration_that_is_taken_verifies_without_an_exception(values: dict[str, Any]) -> None:
    try:
        declared = Declaration(**values)
        scheme = Scheme(declared, [b"p_AAAA"])
    except (ValidationError, WrongKey, ConfigError):
        return
    for body in (b"", b"{}", b'{"a":"x","b":["y"]}', b"\xff"):
        for text in (b"", b"t=1,v1=00", b"v0=00", b"Bearer p_AAAA", b"\xff"):
            headers = [(b"x-a", text), (b"x-b", text)]
            for url in ("https://h/", "https://h/?a=1", "https://h/?a=%FF", "https://h/?a=1&a=2"):
                verdict = scheme.verify(Incoming("POST", url, headers, body, 1.0))
                assert isinstance(verdict, Refusal | Verified)
