"""What people see of a refused request holds no secret, and is bounded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline import config
from hookline.edge.rejections.mask import (
    LONGEST_TARGET,
    LONGEST_VALUE,
    MASKED,
    MOST_HEADER_BYTES,
    MOST_HEADERS,
    Mask,
    mask_method,
    mask_of,
    mask_target,
)

SECRET = "s3cret-v4lue"


def shown(*headers: tuple[bytes, bytes], mask: Mask | None = None) -> list[list[str]]:
    found: list[list[str]] = json.loads((mask or Mask()).headers(headers))
    return found


@pytest.mark.parametrize(
    "name",
    [
        b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"x-gitlab-token", b"x-auth-token",
        b"x-api-key", b"apikey", b"x-apikey", b"x_api_key", b"x-functions-key", b"x-client-secret", b"x-password",
        b"x-pass", b"x-passwd", b"x-pwd", b"x-amz-security-token", b"x-goog-iap-jwt-assertion", b"x-session-id",
        b"X-GITLAB-TOKEN", b"key", b"x-credentials", b"x-bearer", b"\xfftoken\0",
    ],
)  # fmt: skip
def test_a_header_that_is_named_like_a_secret_is_masked(name: bytes) -> None:
    assert shown((name, SECRET.encode())) == [[name.decode("latin-1"), MASKED]]


@pytest.mark.parametrize(
    "name",
    [
        b"x-signature", b"stripe-signature", b"webhook-id", b"webhook-timestamp", b"x-hub-signature-256", b"user-agent",
        b"content-type", b"idempotency-key", b"x-event-key", b"paypal-auth-algo", b"x-github-event", b"x-bypass",
    ],
)  # fmt: skip
def test_what_helps_to_find_the_cause_is_shown(name: bytes) -> None:
    assert shown((name, b"v1=ab12")) == [[name.decode(), "v1=ab12"]]


def test_a_header_that_a_scheme_compares_as_it_is_is_masked_whatever_its_name() -> None:
    declared = config.Scheme.model_validate({"signatures": [{"algorithm": "token", "at": "header:X-Hook"}]})
    header = (b"x-hook", SECRET.encode())
    assert shown(header, mask=mask_of(declared)) == [["x-hook", MASKED]]
    signed = config.Scheme.model_validate(
        {"signatures": [{"algorithm": "hmac-sha256", "at": "header:X-Hook"}]}
    )
    assert shown(header, mask=mask_of(signed)) == [["x-hook", SECRET]]


def test_a_url_in_a_header_is_masked_like_the_target() -> None:
    url = f"https://h/p?a={SECRET}&type=x".encode()
    assert shown((b"referer", url)) == [["referer", "https://h/p?a=***&type=x"]]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"https://h/v1/webhooks/x?token={SECRET}", "/v1/webhooks/x?token=***"),
        (f"https://h/p?type=a&{SECRET}&k={SECRET}&event=b", "/p?type=a&***&k=***&event=b"),
        (f"https://h/p?{SECRET}", "/p?***"),
        (f"https://h/p?a=1;b={SECRET}", "/p?a=***;b=***".replace(";", "&")),
        (f"https://h/p?x=1?type={SECRET}", f"/p?x=***&type={SECRET}"),
        (f"https://h/p?%74ype={SECRET}", "/p?%74ype=***"),
        (f"/v1/webhooks/x?u=http://{SECRET}/b", "/v1/webhooks/x?u=***"),
        (f"https://user:{SECRET}@h/p", "/p"),
        ("https://h", "/"),
        ("", "/"),
        ("https://h/p?", "/p?"),
        ("https://h/\0\ud800", "/\ufffd?"),
        ("https://h/p#f", "/p"),
    ],
)
def test_of_a_query_only_what_is_known_to_be_harmless_is_shown(url: str, target: str) -> None:
    assert mask_target(url) == target


def test_what_is_shown_is_bounded_in_lines_and_bytes() -> None:
    many = [(b"x-%d" % number, b"v") for number in range(100_000)]
    lines = shown(*many)
    assert len(lines) == MOST_HEADERS + 1
    assert lines[-1] == ["…", f"{100_000 - MOST_HEADERS} more"]
    long_lines = shown(*[(b"n" * 100_000, b"v" * 100_000)] * 50)
    assert len(json.dumps(long_lines)) < 2 * MOST_HEADER_BYTES
    assert long_lines[0] == ["n" * LONGEST_VALUE + "…", MASKED], "what is cut off may say that it is secret"
    assert shown((b"x", b"v" * 100_000)) == [["x", "v" * LONGEST_VALUE + "…"]]
    assert len(mask_target("https://h/" + "a&" * 100_000)) <= LONGEST_TARGET + 1
    assert len(mask_target("https://h/?" + "a&" * 100_000)) <= 2.5 * LONGEST_TARGET
    assert mask_method("X" * 100) == "X" * 32 + "…"


@given(st.lists(st.tuples(st.binary(max_size=50), st.binary(max_size=2000)), max_size=200))
def test_any_bytes_become_json_that_postgres_takes(headers: list[tuple[bytes, bytes]]) -> None:
    text = Mask().headers(headers)
    assert "\0" not in text
    assert isinstance(json.loads(text.encode("utf-8")), list)
    assert len(json.loads(text)) <= MOST_HEADERS + 1


@given(st.text(st.characters(exclude_categories=()), max_size=3000))
def test_any_target_becomes_text_that_postgres_takes(url: str) -> None:
    for text in (mask_target(url), mask_method(url)):
        assert "\0" not in text
        text.encode("utf-8")
    assert mask_target(url).startswith("/")


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text("abc&=?;#/%:", max_size=40))
def test_no_value_of_a_query_gets_through(path: str, query: str) -> None:
    target = mask_target(f"https://h/{path}?{query}&zz=CANARY&CANARY")
    assert "CANARY" not in target
