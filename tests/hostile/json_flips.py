"""A genuine body with one byte changed or its end missing: under its old signature, and signed as it is."""

from collections.abc import Callable, Iterator

from hostile.case import Case, Cases, mark
from hostile.reading import look
from hostile.senders import SENDERS, SIGNING, Sender

_VALUE = b'[1,"a"]'
_MASKS = (0x01, 0x04, 0x20, 0x80)
Change = Callable[[bytes], bytes]


def tampered() -> Cases:
    """Each change under the old signature: nobody sees past it."""
    for sender in SIGNING:
        body = sender.document(mark(sender.source), _VALUE)
        headers = sender.sign(body, mark(sender.source))
        for name, change in _changes(len(body)):
            request = sender.request(change(body), headers=headers)
            yield Case(f"tampered/{sender.source}/{name}", request, (sender.refused("bad_signature"),))


def genuine() -> Cases:
    """Each change, and signed so: what can still be read is read."""
    for sender in SENDERS:
        for name, change in _changes(_length(sender)):
            # A mark of its own for each, or one would be the other's duplicate.
            title = f"changed/{sender.source}/{name}"
            body = change(sender.document(mark(title), _VALUE))
            row = sender.row(body, look(body))
            yield Case(title, sender.request(body, mark(title)), (sender.accepted,), (row,))


def _length(sender: Sender) -> int:
    return len(sender.document(mark(""), _VALUE))


def _changes(length: int) -> Iterator[tuple[str, Change]]:
    for place in range(length):
        if place:
            yield f"cut at {place}", _cut(place)
        for mask in _MASKS:
            yield f"byte {place} ^ {mask:#04x}", _flip(place, mask)


def _cut(place: int) -> Change:
    return lambda body: body[:place]


def _flip(place: int, mask: int) -> Change:
    return lambda body: body[:place] + bytes([body[place] ^ mask]) + body[place + 1 :]
