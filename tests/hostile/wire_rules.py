"""What bytes may stand where in a request's head: RFC 9112, RFC 9110 and RFC 3986, read strictly."""

from hostile.case import Reply, bad

TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""Of a header's name: RFC 9110, section 5.6.2."""
VALUE = frozenset([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""Of a header's value: RFC 9110, section 5.5."""
TARGET = frozenset(range(0x21, 0x7F)) - {ord("#")}
"""More than RFC 3986 has: providers' senders are careless, and nobody is misled."""
MOST_TARGET = 8 * 1024
MOST_HEAD = 64 * 1024


def refusal_of_target(target: bytes) -> Reply | None:
    """What a target is refused with; None if it isn't."""
    if not TARGET.issuperset(target.replace(b"#", b"")):
        # Behind a line end begins what may be a header.
        return bad("bad_request", *(["bad_framing"] if b"\r\n" in target else []))
    if len(target) > MOST_TARGET:
        return Reply(414, ("url_too_long",))
    if not target.startswith(b"/") or b"#" in target:
        return bad("bad_target")
    return None


def refusal_of_value(value: bytes) -> Reply | None:
    """The same for a header's value."""
    if not VALUE.issuperset(value):
        return bad("bad_request")
    return Reply(431, ("header_too_large",)) if len(value) > MOST_HEAD else None


def refusal_of_name(name: bytes) -> Reply | None:
    """The same for a header's name."""
    return None if name and TOKEN.issuperset(name) else bad("bad_request")
