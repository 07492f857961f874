"""Find texts in a whole request, JSON bodies included."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote_plus

from hookline.config.selector import Selector
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.json_places import is_key

_MOST_PARAMETERS = 1_000


class Context(NamedTuple):
    """A request and what is known of it."""

    incoming: Incoming
    json: Mapping[str, str]
    """What `JsonPlaces` found."""
    id: str = ""
    """What was signed as id."""
    secret: int = 0
    """Which of the live secrets verified it."""


Read = Callable[[Context], str | None]


def query_value(incoming: Incoming, name: str) -> str | None:
    """The value of a query parameter, decoded; None unless it is there exactly once, in a query that is UTF-8."""
    return None if _decode(incoming.query) is None else _only(incoming.query, name)


def form_value(incoming: Incoming, name: str) -> str | None:
    """The value of a form's field, decoded; None unless the body is a form and has it exactly once."""
    media_type = (incoming.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/x-www-form-urlencoded":
        return None
    try:
        return _only(incoming.body.decode("ascii"), name)
    except UnicodeDecodeError:
        return None


def _only(encoded: str, name: str) -> str | None:
    if encoded.count("&") >= _MOST_PARAMETERS:
        return None
    values = [
        value
        for key, _, value in (pair.partition("=") for pair in encoded.split("&"))
        # Decoding a long form takes a tenth of a second, so only what is asked for is decoded.
        if key == name or (("%" in key or "+" in key) and _decode(key) == name)
    ]
    return _decode(values[0]) if len(values) == 1 else None


def _decode(text: str) -> str | None:
    try:
        return unquote_plus(text, errors="strict")
    except ValueError:  # not UTF-8
        return None


def reader(place: Selector) -> Read:
    """How to read a place: a text that can be a key, or None."""
    name = place.name
    if place.kind == "header":
        header = name.encode("ascii")
        return lambda context: _text(context.incoming.header(header))
    reads: Mapping[str, Read] = {
        "query": lambda context: _key(query_value(context.incoming, name)),
        "form": lambda context: _key(form_value(context.incoming, name)),
        "json": lambda context: context.json.get(name),
        "id": lambda context: _key(context.id),
        "body": lambda context: sha256(context.incoming.body).hexdigest(),
        "text": lambda _: name,
        # "field" isn't here: it is read with its signature, and the configuration allows it nowhere else.
    }
    return reads[place.kind]


def _text(value: bytes | None) -> str | None:
    return None if value is None else _key(value.decode("latin-1"))


def _key(value: str | None) -> str | None:
    return value if value and is_key(value) else None
