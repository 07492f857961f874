"""Bodies with a Content-Encoding: signed as they come, and never more than they may become."""

import zlib
from collections.abc import Callable, Iterator

from hostile.case import Case, Cases, mark, problem
from hostile.reading import nothing
from hostile.senders import PACKED, SENDERS, Headers

_MIB = 1024 * 1024
_LARGEST = 10 * _MIB


def gzip(text: bytes, level: int = 9) -> bytes:
    """The same bytes in each run: no time in them."""
    machine = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return machine.compress(text) + machine.flush()


def raw_deflate(text: bytes) -> bytes:
    """Deflate without zlib's frame, which some senders take for HTTP's."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return machine.compress(text) + machine.flush()


def bombs() -> Cases:
    """Bodies that become too much, signed and not."""
    for name, encoding, body in _bombs():
        title = f"packed/bomb {name}"
        reply = problem(422, "undecodable_body")
        yield Case(f"{title}/signed", PACKED.request(body, more=[encoding]), (reply,))
        forged = PACKED.request(body, headers=PACKED.forge(body, ""), more=[encoding])
        yield Case(f"{title}/forged", forged, (PACKED.refused("bad_signature"),))


def _bombs() -> Iterator[tuple[str, tuple[bytes, bytes], bytes]]:
    for letter, size in ((b"\0", _LARGEST + 1), (b" ", _LARGEST + 1), (b"[", 20 * _MIB), (b"a", 100 * _MIB)):
        text = letter * size
        yield f"{letter!r} {size} gzip", (b"Content-Encoding", b"gzip"), gzip(text, 1)
        yield f"{letter!r} {size} deflate", (b"Content-Encoding", b"deflate"), zlib.compress(text, 1)
    for size in (100_000, _MIB, 9 * _MIB):
        text = b"\0" * size
        yield f"ratio {size}", (b"Content-Encoding", b"gzip"), gzip(text)
        twice = gzip(gzip(text))
        if len(gzip(text)) > 100 * len(twice):
            yield f"ratio {size} twice", (b"Content-Encoding", b"gzip"), twice


def broken() -> Cases:
    """What isn't what its header says: cut, changed, followed by more, of another kind."""
    plain = PACKED.document(mark("packed"), b"0")
    whole = gzip(plain)
    fine = {whole, zlib.compress(plain)}
    bodies = {f"cut at {place}": whole[:place] for place in range(1, len(whole))}
    bodies |= {f"twice {n}": whole + whole[:n] for n in (1, 4, len(whole))}
    bodies |= {f"zeros behind {n}": whole + b"\0" * n for n in (1, 100)}
    bodies |= {
        "plain": plain,
        "raw deflate": raw_deflate(plain),
        "a header alone": whole[:10],
        "bzip2": b"BZh91AY&SY",
        "zstd": b"\x28\xb5\x2f\xfd\x04\x00",
        "brotli": b"\x0b\x02\x80hello\x03",
        "zip": b"PK\x03\x04" + whole,
        "an unknown method": b"\x1f\x8b\x07" + whole[3:],
        "reserved flags": b"\x1f\x8b\x08\xe0" + whole[4:],
        "a name without end": b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"a" * 100_000,
        "an extra field without end": b"\x1f\x8b\x08\x04" + b"\0" * 6 + b"\xff\xff" + b"a" * 1000,
        "a wrong checksum": whole[:-8] + bytes(4) + whole[-4:],
        "a wrong length": whole[:-4] + b"\xff\xff\xff\xff",
        "empty": b"",
        "a dictionary": b"\x78\xbb" + bytes(4) + b"\0" * 20,
    }
    for encoding in (b"gzip", b"deflate", b"GZIP", b"Deflate"):
        for name, body in bodies.items():
            if body not in fine:
                title = f"packed/{encoding.decode()} {name}"
                request = PACKED.request(body, more=[(b"Content-Encoding", encoding)])
                yield Case(title, request, (problem(422, "undecodable_body"),))
    for place in range(len(whole)):
        # Some bits mean nothing (time, system); what matters is that the answer is one of two.
        body = whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
        request = PACKED.request(body, headers=PACKED.sign(whole, ""), more=[(b"Content-Encoding", b"gzip")])
        yield Case(f"packed/byte {place} changed", request, (PACKED.refused("bad_signature"),))


def fine() -> Cases:
    """What is right is read, and stored as it came."""
    contents: dict[str, Callable[[bytes], bytes]] = {
        "stored": lambda text: gzip(text, 0),
        "fast": lambda text: gzip(text, 1),
        "best": gzip,
        "with a name": lambda text: b"\x1f\x8b\x08\x08" + gzip(text)[4:10] + b"name\0" + gzip(text)[10:],
    }
    for name, pack in contents.items():
        for letters in (b"gzip", b"GZip"):
            title = f"packed/fine {name} {letters.decode()}"
            body = pack(PACKED.document(mark(title), b'"' + b"ab" * 400 + b'"'))
            row = PACKED.row(body, PACKED.keys(mark(title)))
            request = PACKED.request(body, more=[(b"Content-Encoding", letters)])
            yield Case(title, request, (PACKED.accepted,), (row,))
    for level in range(10):
        title = f"packed/fine deflate {level}"
        body = zlib.compress(PACKED.document(mark(title), b"0"), level)
        row = PACKED.row(body, PACKED.keys(mark(title)))
        request = PACKED.request(body, more=[(b"Content-Encoding", b"deflate")])
        yield Case(title, request, (PACKED.accepted,), (row,))
    for name, text in {
        "nothing": b"",
        "no JSON": b"no JSON",
        "gzip in gzip": gzip(PACKED.document("a", b"0")),
    }.items():
        body = gzip(text)
        request = PACKED.request(body, more=[(b"Content-Encoding", b"gzip")])
        yield Case(f"packed/fine {name}", request, (PACKED.accepted,), (PACKED.row(body, nothing),))


def encodings() -> Cases:
    """Encodings that aren't allowed, where some are and where none is."""
    refused = problem(415, "content_encoding")
    names = (
        b"br", b"zstd", b"compress", b"x-gzip", b"identity", b"gzip, gzip", b"gzip,deflate", b"gzip;q=1",
        b"", b"*", b"gzip\xff",
        b"g zip", b'"gzip"', b"exi", b"aes128gcm", b"pack200-gzip", b"gzip,", b"utf-8", b"chunked",
        b"a" * 10_000,
    )  # fmt: skip
    for sender in SENDERS:
        allowed: tuple[bytes, ...] = () if sender is PACKED else (b"gzip", b"deflate", b"GZIP")
        for number, name in enumerate((*names, *allowed)):
            body = gzip(sender.document(mark("encodings"), b"0"))
            request = sender.request(body, mark("encodings"), more=[(b"Content-Encoding", name)])
            yield Case(f"packed/{sender.source} encoding {number}", request, (refused,))
        twice: Headers = [(b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br")]
        request = sender.request(b"{}", mark("encodings"), more=twice)
        yield Case(f"packed/{sender.source} two encodings", request, (refused,))
    both: Headers = [(b"Content-Encoding", b"gzip"), (b"content-encoding", b"gzip")]
    title = "packed/gzip said twice"
    body = gzip(PACKED.document(mark(title), b"0"))
    yield Case(title, PACKED.request(body, more=both), (problem(415, "content_encoding"),))
