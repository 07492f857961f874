"""JSON at its edges and beyond, signed and not: what is genuine is stored as it came, whatever it is."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hostile.case import Case, Cases, mark
from hostile.reading import nothing
from hostile.senders import BEGINI, GITHUB, SENDERS, STRIPE, Sender

_DEEP = 100_000
_MANY = 100_000
_FEW = (BEGINI, STRIPE, GITHUB)
"""Senders of what is large."""

READABLE: Mapping[str, bytes] = {
    "NUL escape": rb'"a\u0000b"',
    "lone high surrogate": rb'"\ud800"',
    "lone low surrogate": rb'"\udc00"',
    "surrogates the wrong way round": rb'"\udc00\ud800"',
    "high surrogate before a letter": rb'"\ud83dA"',
    "surrogate pair": rb'"\ud83d\ude00"',
    "escaped noncharacter": rb'"\uffff\ufffe\ufdd0"',
    "all short escapes": rb'"\"\\\/\b\f\n\r\t"',
    "escaped controls": b'"' + b"".join(b"\\u%04x" % number for number in range(32)) + b'"',
    "DEL": b'"\x7f"',
    "C1 controls": '"\x80\x85\x9f"'.encode(),
    "line and paragraph separator": '"\u2028\u2029"'.encode(),
    "invalid UTF-8 byte": b'"\xff"',
    "lone continuation byte": b'"\x80"',
    "UTF-8 cut off": b'"\xf0\x9f\x98"',
    "overlong slash": b'"\xc0\xaf"',
    "overlong NUL": b'"\xc0\x80"',
    "overlong of three bytes": b'"\xe0\x80\xaf"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "five bytes of UTF-8": b'"\xf8\x88\x80\x80\x80"',
    "byte order mark in a string": b'"\xef\xbb\xbf"',
    "noncharacters": '"\uffff\U0010ffff"'.encode(),
    "family emoji": '"👩\u200d👩\u200d👧\u200d👦"'.encode(),
    "right to left override": '"\u202egnp.exe"'.encode(),
    "many combining marks": ('"Z' + "\u0301\u0489" * 500 + '"').encode(),
    "empty string": b'""',
    "empty key": b'{"":{"":0}}',
    "empty array": b"[]",
    "empty object": b"{}",
    "duplicate keys": b'{"a":1,"a":2,"a":[]}',
    "keys of JavaScript": b'{"__proto__":{"admin":true},"constructor":{"prototype":{"a":1}},"hasOwnProperty":1}',
    "keys of Python": b'{"__class__":1,"__dict__":{},"__reduce__":["os.system"],"py/object":"os.system"}',
    "key with NUL": rb'{"a\u0000":1}',
    "key with a lone surrogate": rb'{"\ud800":1}',
    "key with invalid UTF-8": b'{"\xff":1}',
    "key of a JSON Pointer": b'{"/uid":1,"~0":2,"~1":3,"a/b":4}',
    "1e999": b"1e999",
    "minus 1e999": b"-1e999",
    "1e-999": b"1e-999",
    "huge exponent": b"1e" + b"9" * 50,
    "minus zero": b"-0",
    "minus zero point zero": b"-0.0",
    "beyond 64 bits": b"18446744073709551616",
    "beyond a double": b"9" * 400,
    "half between doubles": b"9007199254740993.0",
    "denormal": b"4.9406564584124654e-324",
    "many decimals": b"0." + b"1" * 2000,
    "4301 digits": b"1" * 4301,
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "spaces inside": b' [ 1 ,\t2\r\n, { "a" : 3 } ] ',
    "depth of 200": b"[" * 200 + b"]" * 200,
    "ISO date": b'"2026-04-15T10:00:00Z"',
    "JSON in a string": rb'"{\"uid\":\"other\",\"type\":\"other\"}"',
    "HTML": b'"<script>alert(1)</script>"',
}
"""JSON values, and what some writers take for one: the keys beside them can be read."""

UNREADABLE: Mapping[str, bytes] = {
    "nothing": b"",
    "raw control": b'"\x01"',
    "raw NUL": b'"\x00"',
    "raw tab": b'"\t"',
    "raw line feed": b'"\n"',
    "NUL outside of strings": b"\x000",
    "unknown escape": rb'"\x41"',
    "short escape": rb'"\u12"',
    "escape with a sign": rb'"\u+123"',
    "escape with a space": rb'"\u 123"',
    "escape in capitals": rb'"\U0001F600"',
    "open string": b'"',
    "open escape": b'"\\',
    "single quotes": b"'a'",
    "no quotes": b"a",
    "leading zero": b"01",
    "minus and leading zero": b"-01",
    "no fraction": b"1.",
    "no whole": b".5",
    "plus": b"+1",
    "two signs": b"--1",
    "just a sign": b"-",
    "no exponent": b"1e",
    "hex": b"0x1F",
    "underscore": b"1_000",
    "octal": b"0o17",
    "minus NaN": b"-NaN",
    "small nan": b"nan",
    "small inf": b"inf",
    "TRUE": b"TRUE",
    "tru": b"tru",
    "undefined": b"undefined",
    "None": b"None",
    "comma in an array": b"[1,]",
    "comma first": b"[,1]",
    "two commas": b"[1,,2]",
    "comma in an object": b'{"a":1,}',
    "only a comma": b"{,}",
    "key alone": b'{"a"}',
    "no value": b'{"a":}',
    "number as key": b"{1:2}",
    "two colons": b'{"a"::1}',
    "semicolon": b'{"a";1}',
    "comment": b"/* a */ 1",
    "line comment": b"1 // a",
    "hash comment": b"# a\n1",
    "wrong bracket": b"[}",
    "closed twice": b"[]]",
    "never closed": b"[[[",
    "two values": b"1 2",
    "no-break space": b"\xa01",
    "line separator outside": "\u20281".encode(),
    "form feed": b"\x0c1",
    "vertical tab": b"\x0b1",
    "byte order mark inside": b"\xef\xbb\xbf1",
    "full-width digits": "\uff11".encode(),
    "Arabic digits": "\u0661".encode(),
    "function": b"(function(){})()",
    "date": b"new Date(0)",
    "tagged": b"!!python/object/apply:os.system ['id']",
}
"""No JSON, to nobody who is careful: nothing can be read, and the bytes are stored."""


class _Large(NamedTuple):
    name: str
    value: bytes
    readable: bool


def _large() -> Iterator[_Large]:
    yield _Large("array 100,000 deep", b"[" * _DEEP + b"]" * _DEEP, readable=False)
    yield _Large("objects 100,000 deep", b'{"a":' * _DEEP + b"0" + b"}" * _DEEP, readable=False)
    yield _Large("array 100,000 deep, open", b"[" * _DEEP, readable=False)
    yield _Large("objects 100,000 deep, open", b'{"a":' * _DEEP, readable=False)
    yield _Large("mixed 50,000 deep", b'[{"":' * 25_000 + b"0" + b"}]" * 25_000, readable=False)
    yield _Large("100,000 digits", b"1" * _MANY, readable=True)
    yield _Large("100,000 decimals", b"0." + b"1" * _MANY, readable=True)
    yield _Large("100,000 digits of exponent", b"1e" + b"1" * _MANY, readable=True)
    yield _Large("string of 900 KB", b'"' + b"x" * 900_000 + b'"', readable=True)
    yield _Large("900 KB of escapes", b'"' + rb"\u0000" * 150_000 + b'"', readable=True)
    yield _Large("900 KB of lone surrogates", b'"' + rb"\ud800" * 150_000 + b'"', readable=True)
    yield _Large("900 KB of backslashes", b'"' + b"\\\\" * 450_000 + b'"', readable=True)
    yield _Large("900 KB of spaces", b" " * 900_000 + b"0", readable=True)
    yield _Large("key of 900 KB", b'{"' + b"k" * 900_000 + b'":0}', readable=True)
    yield _Large("100,000 keys", b"{" + b",".join(b'"%x":0' % n for n in range(_MANY)) + b"}", readable=True)
    yield _Large("100,000 equal keys", b"{" + b'"a":0,' * _MANY + b'"a":0}', readable=True)
    yield _Large("400,000 numbers", b"[" + b"0," * 400_000 + b"0]", readable=True)
    yield _Large("300,000 empty arrays", b"[" + b"[]," * 300_000 + b"0]", readable=True)
    yield _Large("100,000 colliding words", b"[" + b'"Aa","BB",' * 50_000 + b"0]", readable=True)


def wholes() -> Iterator[tuple[str, bytes]]:
    """Whole bodies in which there are no keys."""
    document = b'{"uid":"a","id":"a","type":"b"}'
    yield "empty", b""
    for name, blank in {
        "a space": b" ",
        "blanks": b" \t\r\n" * 50,
        "a NUL": b"\0",
        "NULs": b"\0" * 1000,
    }.items():
        yield name, blank
    text = document.decode()
    yield "UTF-16 with a mark", text.encode("utf-16")
    yield "UTF-16LE", text.encode("utf-16-le")
    yield "UTF-16BE", text.encode("utf-16-be")
    yield "UTF-32 with a mark", text.encode("utf-32")
    yield "UTF-32LE", text.encode("utf-32-le")
    yield "UTF-32BE", text.encode("utf-32-be")
    yield "UTF-7 mark", b"+/v8-" + document
    yield "a mark alone", b"\xef\xbb\xbf"
    yield "two marks", b"\xef\xbb\xbf\xef\xbb\xbf" + document
    yield "a mark behind", document + b"\xef\xbb\xbf"
    yield "EBCDIC", text.encode("cp500")
    yield "two documents", document + document
    yield "lines of documents", document + b"\n" + document
    yield "a record separator", b"\x1e" + document
    yield "a protected document", b")]}',\n" + document
    yield "JSONP", b"callback(" + document + b")"
    yield "a form", b"uid=a&id=a&type=b"
    yield "XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    yield "many laughs", b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>'
    yield "YAML", b"&a [*a, *a]"
    yield "pickle", b"cos\nsystem\n(S'id'\ntR."
    yield "gzip", bytes.fromhex("1f8b08000000000000ff")
    yield "a PNG", b"\x89PNG\r\n\x1a\n"
    yield "MessagePack", bytes.fromhex("82a3756964a161a474797065a162")
    yield "BSON", bytes.fromhex("160000000568656c6c6f00")
    for name, value in {**READABLE, **UNREADABLE}.items():
        if value:
            yield f"just {name}", value


def values() -> Cases:
    """Each value in a document of each sender: genuine, and signed by somebody else."""
    for sender in SENDERS:
        for readable, table in ((True, READABLE), (False, UNREADABLE)):
            for name, value in table.items():
                yield from both(sender, f"json/{sender.source}/{name}", value, readable=readable)


def large() -> Cases:
    """The same with what is large."""
    for one in _large():
        for sender in _FEW:
            yield from both(sender, f"json/{sender.source}/{one.name}", one.value, readable=one.readable)


def in_place_of_all() -> Cases:
    """Each whole body that holds no keys, from each sender."""
    for sender in SENDERS:
        for name, body in wholes():
            title = f"json/{sender.source}/whole/{name}"
            row = sender.row(body, nothing)
            yield Case(f"{title}/genuine", sender.request(body, mark(title)), (sender.accepted,), (row,))
            if sender.covers:
                yield _forged(sender, f"{title}/forged", body)


def both(sender: Sender, name: str, value: bytes, *, readable: bool) -> Cases:
    """A document with a value in it, genuine and not."""
    body = sender.document(mark(name), value)
    row = sender.row(body, sender.keys(mark(name)) if readable else nothing)
    yield Case(f"{name}/genuine", sender.request(body, mark(name)), (sender.accepted,), (row,))
    if sender.covers:
        yield _forged(sender, f"{name}/forged", body)


def _forged(sender: Sender, name: str, body: bytes) -> Case:
    request = sender.request(body, headers=sender.forge(body, mark(name)))
    return Case(name, request, (sender.refused("bad_signature"),))
