"""What is signed: a template, and the parts of a request that fill it."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hookline.config.selector import parse_selector
from hookline.config.signature import PLACEHOLDER
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.places import query_value


class Parts(NamedTuple):
    """What can be signed."""

    incoming: Incoming
    timestamp: bytes
    """As it was sent, not as it was understood."""
    id: bytes


_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""What a URL is written in (RFC 3986, section 2). Providers join it to the body without anything between, and the `{`
that begins a JSON body must not be taken for its end."""
_SHIFTED = re.compile(rb"\.[0-9]+\.[{\[]")
"""What an id holds that somebody has made of an id, a timestamp and the beginning of a body that holds another one."""

Fill = Callable[[Parts], bytes | None]


_SIMPLE: Mapping[str, Fill] = {
    "body": lambda parts: parts.incoming.body,
    "timestamp": lambda parts: parts.timestamp,
    "id": lambda parts: None if _SHIFTED.search(parts.id) else parts.id,
    "url": lambda parts: parts.incoming.url.encode() if _URL.fullmatch(parts.incoming.url) else None,
    "method": lambda parts: parts.incoming.method.encode("ascii"),
}


def compile_template(template: str) -> Fill:
    """A function that fills the template; None where a part that must be signed is missing or there twice."""
    pieces: list[Fill] = []
    place = 0
    for match in PLACEHOLDER.finditer(template):
        if between := template[place : match.start()]:
            pieces.append(_constant(between.encode()))
        pieces.append(_part(match[1]))
        place = match.end()
    if rest := template[place:]:
        pieces.append(_constant(rest.encode()))

    def fill(parts: Parts) -> bytes | None:
        filled = [piece(parts) for piece in pieces]
        return None if None in filled else b"".join([part for part in filled if part is not None])

    return fill


def _constant(text: bytes) -> Fill:
    return lambda _: text


def _part(name: str) -> Fill:
    if name in _SIMPLE:
        return _SIMPLE[name]
    place = parse_selector(name)
    if place.kind == "header":
        header = place.name.encode("ascii")
        return lambda parts: parts.incoming.header(header)

    def query(parts: Parts) -> bytes | None:
        value = query_value(parts.incoming, place.name)
        return None if value is None else value.encode()

    return query
