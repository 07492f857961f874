"""Strange texts and values just where the keys are."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from hostile.case import Case, Cases, mark
from hostile.naughty import NAUGHTY
from hostile.reading import look
from hostile.senders import (
    BEGINI,
    CLOUDEVENTS,
    GITHUB,
    GITLAB,
    META,
    SLACK,
    STANDARD,
    STRIPE,
    Sender,
)

POINTERS: Mapping[Sender, tuple[str, ...]] = {
    BEGINI: ("/uid", "/integration_id", "/event/type"),
    STRIPE: ("/id", "/type", "/data/object/id"),
    SLACK: ("/event_id", "/event/type", "/type"),
    STANDARD: ("/type",),
    GITHUB: ("/action", "/repository/id"),
    GITLAB: ("/object_kind", "/object_attributes/action"),
    META: ("/object", "/entry/0/id"),
    CLOUDEVENTS: ("/id", "/type"),
}
_PLACEHOLDER = "-- here --"

LITERALS: Mapping[str, Callable[[str], str]] = {
    "NUL": lambda m: rf'"{m}\u0000"',
    "control": lambda m: rf'"{m}\u0001\u001f"',
    "line ends": lambda m: rf'"{m}\r\n"',
    "lone surrogate": lambda m: rf'"{m}\ud800"',
    "lone low surrogate": lambda m: rf'"\udfff{m}"',
    "surrogate pair": lambda m: rf'"{m}\ud83d\ude00"',
    "noncharacter": lambda m: rf'"{m}\uffff"',
    "escaped letters": lambda m: '"' + "".join(f"\\u{ord(c):04x}" for c in m + "u") + '"',
    "escaped slash": lambda m: rf'"{m}\/"',
    "quotes": lambda m: rf'"{m}\"\\"',
    "512 characters": lambda m: f'"{m:x<512}"',
    "513 characters": lambda m: f'"{m:x<513}"',
    "512 emoji": lambda m: f'"{m:\N{PILE OF POO}<512}"',
    "513 emoji": lambda m: f'"{m:\N{PILE OF POO}<513}"',
    "512 escapes": lambda m: '"' + m + r"\u00e9" * (512 - len(m)) + '"',
    "100,000 characters": lambda m: f'"{m:x<100000}"',
    "empty": lambda _: '""',
    "a space": lambda m: f'" {m} "',
    "number": lambda m: str(int(m, 16) + 1),
    "negative number": lambda m: str(-int(m, 16) - 1),
    "40 digits": lambda m: f"{int(m, 16) + 1:1<40}",
    "41 digits": lambda m: f"{int(m, 16) + 1:1<41}",
    "5,000 digits": lambda m: f"{int(m, 16) + 1:1<5000}",
    "fraction": lambda m: f"{int(m, 16)}.5",
    "whole fraction": lambda m: f"{int(m, 16)}.0",
    "exponent": lambda m: f"{int(m, 16)}e2",
    "huge exponent": lambda _: "1e999",
    "NaN": lambda _: "NaN",
    "true": lambda _: "true",
    "null": lambda _: "null",
    "array": lambda m: f'["{m}"]',
    "object": lambda m: f'{{"{m}":"{m}"}}',
    "deep": lambda _: "[" * 50_000 + "]" * 50_000,
    "nothing": lambda _: "",
    "open string": lambda m: f'"{m}',
    "twice": lambda m: f'"a","a":"{m}"',
}


def cases() -> Cases:
    """Each literal and each naughty string at each place where a key is looked for."""
    for sender, pointers in POINTERS.items():
        for pointer in pointers:
            for name, literal in LITERALS.items():
                title = f"keys/{sender.source}{pointer}/{name}"
                yield _case(sender, pointer, title, literal(mark(title)).encode())
            for name, text in NAUGHTY.items():
                title = f"keys/{sender.source}{pointer}/naughty {name}"
                literal_ = json.dumps(mark(title) + text, ensure_ascii=False)
                yield _case(sender, pointer, title, literal_.encode(errors="surrogatepass"))


def names() -> Cases:
    """The same beside the keys, as the name of a member, and in place of the keys' own names."""
    for sender in POINTERS:
        for name, text in NAUGHTY.items():
            title = f"names/{sender.source}/{name}"
            value = json.dumps({text: text}).encode()
            body = sender.document(mark(title), value)
            row = sender.row(body, sender.keys(mark(title)))
            yield Case(title, sender.request(body, mark(title)), (sender.accepted,), (row,))


def _case(sender: Sender, pointer: str, title: str, literal: bytes) -> Case:
    document = json.loads(sender.document(mark(title), json.dumps(mark(title)).encode()))
    *above, last = pointer.split("/")[1:]
    parent: Any = document
    for step in above:
        parent = parent[int(step) if isinstance(parent, list) else step]
    parent[last] = _PLACEHOLDER
    before, after = json.dumps(document).encode().split(json.dumps(_PLACEHOLDER).encode())
    key = json.dumps(last).encode() + b": "
    # A literal may bring a second member of the same name.
    body = before + literal.replace(b'"a":', key) + after
    row = sender.row(body, look(body))
    return Case(title, sender.request(body, mark(title)), (sender.accepted,), (row,))
