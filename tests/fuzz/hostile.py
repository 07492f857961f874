"""Bytes and texts that have broken parsers before, and splices of them into genuine ones."""

from hypothesis import strategies as st

SCRAPS = [
    b"", b"\0", b"\n", b"\r\n", b" ", b",", b";", b"=", b"==", b".", b":", b"%", b"%%", b"%00", b"%zz", b"%C3%A9", b"+",
    b"&", b"t=", b"v1=", b"v0=", b"v1,", b"v1a,", b"sha256=", b"sha1=", b"ts=", b"h1=", b"Bearer ", b"Basic ",
    b"whsec_", b"whpk_", b"0", b"-0", b"1e309", b"NaN", b"9" * 50, b"9" * 5_000, b"1790000000", b"1790000000.5",
    b"null", b"true",
    b"\xff", b"\xc3", b"\xc3\xa9", b"\xb2", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf",
    b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b"[" * 3_000, b'{"a":' * 3_000,
    b"2026-09-21T14:13:20Z",
    b"../", b"?", b"#", b"//", b"{body}", b"{timestamp}", b"A" * 10_000, b"AAAA" * 20, b"-----BEGIN PUBLIC KEY-----\n",
]  # fmt: skip


def _scrap(number: int) -> bytes:
    return SCRAPS[number]


SCRAP = st.integers(0, len(SCRAPS) - 1).map(_scrap)
RAW = st.one_of(st.binary(max_size=200), st.lists(SCRAP, max_size=8).map(b"".join))
TEXT = st.one_of(st.text(max_size=60), RAW.map(lambda raw: raw.decode("latin-1")))


@st.composite
def spliced(draw: st.DrawFn, genuine: bytes) -> bytes:
    """A genuine text with parts cut out, repeated, and replaced by scraps."""
    text = genuine
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, len(text)))
        inserted = draw(SCRAP | st.binary(max_size=4))
        text = text[:start] + inserted + text[stop:]
    return text
