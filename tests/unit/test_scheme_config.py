"""`[schemes.NAME]`: what can be declared, and what is refused with which words."""

import os
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import get_args

import pytest

from hookline.config import Scheme, Settings, load
from hookline.config.presets import preset, preset_names
from hookline.config.signature import Algorithm
from hookline.edge.schemes import scheme as edge
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError

CANARY = "canary-secret-4711"
SIGNED = '[[schemes.acme.signatures]]\nalgorithm = "hmac-sha256"\n'
FIRST = "schemes.acme.signatures.0"
WHERE = (
    'must say where to look: "header:NAME", "query:NAME", "json:/POINTER" (RFC 6901), "form:NAME", "field:NAME" '
    '(beside the signature), "text:CONSTANT", "id" (what was signed as id) or "body" (its hash)'
)
NO_WAY_IN = "schemes.acme: must declare signatures, or name a plugin, and not both"
ALGORITHMS = f"{', '.join(map(repr, get_args(Algorithm)[:-1]))} or 'none'"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HOOKLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def declared(text: str) -> Settings:
    Path("hookline.toml").write_text(text, encoding="utf-8")
    return load()


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        declared(text)
    return str(error.value)


def signed(more: str) -> str:
    return f"{SIGNED}{more}\n"


def scheme(more: str) -> str:
    return f"[schemes.acme]\n{more}\n{SIGNED}"


def table(name: str, more: str) -> str:
    return f"{SIGNED}\n[schemes.acme.{name}]\n{more}\n"


def handshake(more: str) -> str:
    return f"{SIGNED}\n[[schemes.acme.handshakes]]\n{more}\n"


MISTAKES = {
    # A scheme as a whole.
    "[schemes.acme]\n": NO_WAY_IN,
    scheme('plugin = "twilio"'): NO_WAY_IN,
    "[schemes.acme]\nsignatures = []\n": NO_WAY_IN,
    '[schemes.acme]\nextends = "stripe"\nplugin = "twilio"\nsignatures = [{ algorithm = "token" }]\n': NO_WAY_IN,
    '[schemes.acme]\nextends = "strpe"\n': (
        f"schemes.acme: extends 'strpe', which is no preset; known are {', '.join(preset_names())}"
    ),
    "[schemes.acme]\nextends = 5\n": "schemes.acme.extends = 5: must be a text in quotes",
    '[schemes.acme]\nextend = "stripe"\n': "schemes.acme.extend: no such setting; did you mean 'extends'?",
    '[schemes.stripe]\nextends = "stripe"\n': (
        'schemes.stripe: is a preset; choose another name, and say extends = "stripe"'
    ),
    '[schemes.Acme]\nextends = "stripe"\n': (
        "schemes.Acme = 'Acme': use lower-case letters, digits, '-' and '_', with a letter or digit first"
    ),
    "schemes = 5\n": "schemes = 5: must be a table; write its settings under [schemes]",
    '[schemes]\nacme = "x"\n': "schemes.acme: must be a table; write its settings under [schemes.acme]",
    '[[schemes.acme.signatures]]\nalgorithm = "none"\n': (
        'schemes.acme: lets everybody in with algorithm "none"; if that is meant, set unsafe = true'
    ),
    scheme("unsafe = true"): 'schemes.acme: is unsafe only with algorithm "none"; leave unsafe out',
    scheme("unsafe = true") + '[[schemes.acme.signatures]]\nalgorithm = "none"\n': (
        'schemes.acme: with algorithm "none" further signatures mean nothing; leave them out'
    ),
    scheme('content_types = [""]'): "schemes.acme.content_types.0 = '': must not be empty",
    # Signatures as a list.
    "[schemes.acme]\nsignatures = 5\n": "schemes.acme.signatures = 5: must be a list, in brackets",
    '[schemes.acme.signatures]\nalgorithm = "token"\n': (
        "schemes.acme.signatures: must be a list of tables; write each under [[schemes.acme.signatures]]"
    ),
    '[schemes.acme]\nsignatures = ["x"]\n': (
        f"{FIRST}: must be a table; write its settings under [[schemes.acme.signatures]]"
    ),
    SIGNED * 9: "schemes.acme.signatures: must have at most 8 entries, not 9",
    # One signature.
    "[[schemes.acme.signatures]]\n": f"{FIRST}.algorithm: is missing; add it",
    '[[schemes.acme.signatures]]\nalgorithm = "md5"\n': f"{FIRST}.algorithm = 'md5': must be one of {ALGORITHMS}",
    signed("headr = 1"): (
        f"{FIRST}.headr: no such setting; known here: algorithm, at, encoding, field, id, key, prefix, separator, "
        "template, timestamp"
    ),
    signed('encodng = "hex"'): f"{FIRST}.encodng: no such setting; did you mean 'encoding'?",
    signed('encoding = "b64"'): f"{FIRST}.encoding = 'b64': must be one of 'hex', 'base64' or 'base64url'",
    signed('at = "x"'): f"{FIRST}.at = 'x': {WHERE}",
    signed("at = 5"): f"{FIRST}.at = 5: {WHERE}",
    signed('at = "query:"'): f"{FIRST}.at = 'query:': {WHERE}",
    signed(
        'at = "header:a b"'
    ): f"""{FIRST}.at = 'header:a b': a header is named as in "header:X-Signature\"""",
    signed('at = "json:x"'): (
        f"""{FIRST}.at = 'json:x': a place in JSON is a JSON Pointer (RFC 6901), as in "json:/event/type\""""
    ),
    signed('at = "text:x"'): f'{FIRST}: "text:x" is no place of a signature, its id or its timestamp',
    signed('at = "body"'): f'{FIRST}: "body" is no place of a signature, its id or its timestamp',
    signed('at = "field:t"'): f"{FIRST}: only a timestamp can be a field beside the signature",
    signed('template = "{x}"'): (
        f"{FIRST}.template = '{{x}}': holds {{x}}; known are {{body}}, {{timestamp}}, {{id}}, {{url}}, {{method}}, "
        "{header:NAME} and {query:NAME}"
    ),
    signed(
        'template = "{body"'
    ): f"{FIRST}.template = '{{body': holds a brace that belongs to no placeholder",
    signed('template = "{header:a b}"'): (
        f"""{FIRST}.template = '{{header:a b}}': a header is named as in "header:X-Signature\""""
    ),
    signed('template = "constant"'): (
        f"{FIRST}: its template must hold {{body}}: a signature that doesn't cover it proves nothing"
    ),
    signed('template = "{timestamp}{body}"'): (
        f"{FIRST}: its template holds {{timestamp}}; say where that is: timestamp = {{ at = ... }}"
    ),
    signed('template = "{id}{body}"'): f"{FIRST}: its template holds {{id}}; say where that is: id = ...",
    signed('id = "header:x"'): (
        f"{FIRST}: its id is not covered by the template; put {{id}} into it, or leave id out"
    ),
    signed('template = "{id}{body}"\nid = "field:x"'): (
        f"{FIRST}: only a timestamp can be a field beside the signature"
    ),
    signed('timestamp = { at = "header:x" }'): (
        f"{FIRST}: its timestamp is not covered by the template; put {{timestamp}} into it"
    ),
    signed('field = "v1"'): f'{FIRST}: has a field but no separator between fields; set separator = ","',
    signed('timestamp = { at = "field:t" }\ntemplate = "{timestamp}{body}"'): (
        f"{FIRST}: its timestamp is a field beside the signature; say which field the signature is"
    ),
    signed("timestamp = {}"): f"{FIRST}.timestamp.at: is missing; add it",
    signed('timestamp = { at = "header:x", unt = "s" }'): (
        f"{FIRST}.timestamp.unt: no such setting; did you mean 'unit'?"
    ),
    signed('timestamp = { at = "header:x", unit = "m" }'): (
        f"{FIRST}.timestamp.unit = 'm': must be one of 's', 'ms' or 'iso8601'"
    ),
    signed('timestamp = { at = "header:x", past = "soon" }'): (
        f"""{FIRST}.timestamp.past = 'soon': must be a duration such as "250ms", "30s", "5m" or "2h\""""
    ),
    signed(
        'timestamp = { at = "header:x", past = "0s" }'
    ): f"{FIRST}.timestamp.past = '0s': must be longer than zero",
    signed('key = { encoding = "x" }'): (
        f"{FIRST}.key.encoding = 'x': must be one of 'utf8', 'base64', 'hex', 'pem' or 'der'"
    ),
    signed('key = { encdng = "x" }'): f"{FIRST}.key.encdng: no such setting; did you mean 'encoding'?",
    # Keys of events.
    table("event", 'dedup = "id"'): "schemes.acme.event.dedup = 'id': must be a list, in brackets",
    table("event", 'dedup = ["nope"]'): f"schemes.acme.event.dedup.0 = 'nope': {WHERE}",
    table("event", "dedup = [[]]"): "schemes.acme.event.dedup.0 = []: must name at least one place",
    table("event", 'dedup = ["field:t"]'): (
        'schemes.acme.event: "field:t" is only known while the signature is checked'
    ),
    table("event", 'type = ["body"]'): (
        'schemes.acme.event: "body" is a hash: it tells events apart, and neither names nor orders them'
    ),
    table("event", 'ordering_key = [["id", "body"]]'): (
        'schemes.acme.event: "body" is a hash: it tells events apart, and neither names nor orders them'
    ),
    table(
        "event", 'repeat = "x"'
    ): "schemes.acme.event.repeat = 'x': must be one of 'duplicate' or 'revision'",
    table("event", 'dedpu = ["id"]'): "schemes.acme.event.dedpu: no such setting; did you mean 'dedup'?",
    # Answers.
    table("success", "status = 302"): (
        "schemes.acme: success.status must be 2xx: the event is committed, and anything else is sent again"
    ),
    table("refusal", "status = 200"): (
        "schemes.acme: refusal.status must be 4xx or 5xx: the provider would take it for success"
    ),
    table("success", "status = 100"): (
        "schemes.acme.success.status = 100: input should be greater than or equal to 200"
    ),
    table("success", 'headers = { "a b" = "c" }'): (
        "schemes.acme.success.headers: 'a b' must be a header's name, with printable ASCII as its value"
    ),
    table("success", 'headers = { a = "b\\r\\nc: d" }'): (
        "schemes.acme.success.headers: 'a' must be a header's name, with printable ASCII as its value"
    ),
    table("success", 'content_type = ""'): (
        """schemes.acme.success.content_type = '': must be visible ASCII, such as "application/json\""""
    ),
    table("success", "x = 1"): (
        "schemes.acme.success.x: no such setting; known here: body, content_type, headers, status"
    ),
    # Handshakes.
    handshake("answer = {}"): (
        "schemes.acme.handshakes.0: would take every webhook for a handshake; say when = { ... }"
    ),
    handshake('method = "GET"'): "schemes.acme.handshakes.0.answer: is missing; add it",
    handshake('method = "PUT"\nanswer = {}'): (
        "schemes.acme.handshakes.0.method = 'PUT': must be one of 'GET', 'POST' or 'OPTIONS'"
    ),
    handshake("signed = false\nanswer = {}"): (
        "schemes.acme.handshakes.0: a POST that isn't verified can't be told from a forged event; set signed = true"
    ),
    handshake('when = { "x" = "y" }\nanswer = {}'): f"schemes.acme.handshakes.0.when: {WHERE}",
    handshake('when = { "json:/a" = 1 }\nanswer = {}'): (
        "schemes.acme.handshakes.0.when.json:/a = 1: must be a text in quotes"
    ),
    handshake('method = "GET"\nanswer = { body = "{challenge}" }'): (
        "schemes.acme.handshakes.0: its answer repeats a challenge; say where that is: challenge = ..."
    ),
    handshake('method = "GET"\nanswer = { headers = { a = "{challange}" } }'): (
        "schemes.acme.handshakes.0: its answer holds {challange}; known are {challenge} and {challenge:hmac-sha256-hex}"
    ),
    handshake('method = "GET"\nanswer = { bdy = "x" }'): (
        "schemes.acme.handshakes.0.answer.bdy: no such setting; did you mean 'body'?"
    ),
    handshake('method = "GET"\nanswr = {}\nanswer = {}'): (
        "schemes.acme.handshakes.0.answr: no such setting; did you mean 'answer'?"
    ),
}


@pytest.mark.parametrize(("text", "says"), MISTAKES.items(), ids=MISTAKES.values())
def test_a_wrong_declaration_names_the_file_the_key_and_the_fix(text: str, says: str) -> None:
    assert mistake(text) == f"hookline.toml: {says}"


@pytest.mark.parametrize(
    "text",
    [
        signed(f'secret = "{CANARY}"'),
        signed(f'key = "{CANARY}"'),
        handshake(f'method = "GET"\nanswer = {{}}\nverify_token = "{CANARY}"'),
        scheme(f'secrets = ["{CANARY}"]'),
    ],
)
def test_a_secret_in_a_declaration_is_not_repeated(text: str) -> None:
    assert CANARY not in mistake(text)


def test_a_scheme_s_mistake_does_not_hide_another_s() -> None:
    lines = mistake('[schemes.one]\nextends = "x"\n[[schemes.two.signatures]]\nfoo = 1\n').splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "schemes.one",
        "schemes.two.signatures.0.algorithm",
        "schemes.two.signatures.0.foo",
    ]


def test_extending_replaces_whole_settings_and_single_ones_of_event() -> None:
    own = declared(
        '[schemes.acme]\nextends = "stripe"\ntitle = "Mine"\n[schemes.acme.event]\ntype = ["text:always"]\n'
        '[[schemes.acme.signatures]]\nalgorithm = "token"\n'
    ).schemes["acme"]
    stripe = Scheme(**preset("stripe"))
    assert own.title == "Mine"
    assert own.docs == stripe.docs
    assert [one.algorithm for one in own.signatures] == ["token"]
    assert own.event.dedup == stripe.event.dedup
    assert [str(place) for places in own.event.type for place in places] == ["text:always"]


def test_a_plugin_and_signatures_replace_each_other_when_extending() -> None:
    schemes = declared(
        '[schemes.a]\nextends = "stripe"\nplugin = "twilio"\n'
        '[schemes.b]\nextends = "twilio"\nsignatures = [{ algorithm = "token" }]\n'
    ).schemes
    assert (schemes["a"].plugin, schemes["a"].signatures) == ("twilio", ())
    assert (schemes["b"].plugin, len(schemes["b"].signatures)) == (None, 1)


@pytest.mark.parametrize("name", preset_names())
def test_an_extended_preset_of_which_nothing_else_is_said_is_the_preset(name: str) -> None:
    own = declared(f'[schemes.acme]\nextends = "{name}"\n').schemes["acme"]
    assert own.model_copy(update={"extends": None}) == Scheme(**preset(name))


def test_an_unsafe_scheme_lets_everybody_in_and_needs_no_secret() -> None:
    settings = declared(
        '[schemes.acme]\nunsafe = true\nsignatures = [{ algorithm = "none", at = "header:Host" }]\n'
        '[sources.x]\nscheme = "acme"\n'
    )
    declaration = settings.scheme_of(settings.sources["x"])
    assert declaration.unsafe
    assert not declaration.needs_secrets


OWN = """
[schemes.acme]
title = "Acme"
content_types = ["application/vnd.acme+json"]
success = { status = 204 }

[[schemes.acme.signatures]]
algorithm = "hmac-sha512"
at = "header:X-Acme-Signature"
separator = ";"
field = "sig"
encoding = "base64"
template = "{method} {url}\\n{header:X-Acme-Tenant}\\n{query:attempt}\\n{id}\\n{timestamp}\\n{body}"
id = "header:X-Acme-Id"
timestamp = { at = "field:at", unit = "ms", past = "10s", future = "1s" }
key = { encoding = "base64", prefix = "acme_" }

[schemes.acme.event]
dedup = ["id"]
type = [["json:/kind", "json:/what/0"]]
ordering_key = ["header:X-Acme-Tenant"]
"""


def test_a_scheme_of_one_s_own_verifies_and_reads_as_it_is_declared() -> None:
    declaration = declared(OWN).schemes["acme"]
    key = sha256(b"key").digest()
    built = edge.Scheme(declaration, [b"acme_" + b64encode(key)])
    body, url, now = (
        b'{"kind":"thing","what":["made"]}',
        "https://hooks.example.com/v1/webhooks/x?attempt=2",
        1_790_000_000.0,
    )
    message = f"POST {url}\nblue\n2\nmsg-1\n{now * 1000:.0f}\n".encode() + body
    signature = b64encode(digest(key, message, "sha512"))
    headers = [
        (b"x-acme-signature", b"at=%d;sig=AAAA;sig=%s" % (now * 1000, signature)),
        (b"x-acme-tenant", b"blue"),
        (b"x-acme-id", b"msg-1"),
    ]
    incoming = Incoming("POST", url, headers, body, now)
    verified = built.verify(incoming)
    assert verified == Verified("msg-1")
    envelope = built.read(built.context(incoming, verified))
    assert envelope is not None
    assert (envelope.type, envelope.dedup_key, envelope.ordering_key) == ("thing.made", ("msg-1",), "4:blue,")
    assert built.verify(incoming._replace(now=now + 11)) is Refusal.STALE_TIMESTAMP
    assert built.verify(incoming._replace(now=now - 2)) is Refusal.STALE_TIMESTAMP
    assert built.verify(incoming._replace(url=url + "&attempt=2")) is Refusal.BAD_SIGNATURE
    assert built.verify(incoming._replace(method="PUT")) is Refusal.BAD_SIGNATURE
    other_tenant = [*headers[:1], (b"x-acme-tenant", b"red"), headers[2]]
    assert built.verify(incoming._replace(headers=other_tenant)) is Refusal.BAD_SIGNATURE
    assert built.takes(b"application/vnd.acme+json; charset=utf-8")
    assert not built.takes(b"application/json")


def test_a_source_s_tolerance_replaces_the_scheme_s() -> None:
    declaration = declared(OWN).schemes["acme"]
    built = edge.Scheme(declaration, [b"acme_AAAA"], tolerance=timedelta(hours=1))
    assert "keys=1" in repr(built)
    (signature,) = declaration.signatures
    assert signature.timestamp is not None
    assert signature.timestamp.past == timedelta(seconds=10), "the declaration itself stays as it is"


@pytest.mark.parametrize(
    ("settings", "secret", "says"),
    [
        ('key = { encoding = "base64", prefix = "acme_" }', "AAAA", "must begin with 'acme_'"),
        ('key = { encoding = "base64", prefix = "acme_" }', "acme_", "must not be empty"),
        ('key = { encoding = "base64" }', "AA*A", "must be base64"),
        ('key = { encoding = "hex" }', "0g", "must be hex"),
        ("", "", "must not be empty"),
    ],
)
def test_a_secret_that_is_no_key_is_refused_without_repeating_it(
    settings: str, secret: str, says: str
) -> None:
    declaration = declared(signed(settings)).schemes["acme"]
    with pytest.raises(WrongKey) as error:
        edge.Scheme(declaration, [secret.encode()])
    assert str(error.value) == f"secret 1 of 1 {says}"
    assert len(secret) < 5 or secret not in str(error.value).replace("'acme_'", "")
