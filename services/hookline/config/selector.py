"""Where in a request something is: "header:X-Event", "query:token", "json:/event/type"."""

import re
from typing import Annotated, Literal, NamedTuple, cast, get_args

from pydantic import PlainValidator

Kind = Literal["header", "query", "json", "form", "field", "id", "body", "text"]

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A field name (RFC 9110, section 5.6.2)."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
"""A JSON Pointer (RFC 6901) to something inside the document."""
_BARE = ("id", "body")
_GRAMMAR = (
    'must say where to look: "header:NAME", "query:NAME", "json:/POINTER" (RFC 6901), "form:NAME", "field:NAME" '
    '(beside the signature), "text:CONSTANT", "id" (what was signed as id) or "body" (its hash)'
)


class Selector(NamedTuple):
    """One place in a request."""

    kind: Kind
    name: str = ""
    """Of the header (lower case), the query parameter, the form's field or the field beside the signature; or the
    constant, or the JSON Pointer."""

    @property
    def path(self) -> tuple[str, ...]:
        """The steps of a JSON Pointer."""
        return tuple(step.replace("~1", "/").replace("~0", "~") for step in self.name.split("/")[1:])

    def __str__(self) -> str:
        return self.kind if self.kind in _BARE else f"{self.kind}:{self.name}"


def parse_selector(value: object) -> Selector:
    """Read a selector as people write it.

    Raises:
        ValueError: It isn't one.
    """
    if isinstance(value, Selector):
        return value
    if not isinstance(value, str):
        raise ValueError(_GRAMMAR)  # noqa: TRY004  (pydantic takes a TypeError for a bug)
    kind, colon, name = value.partition(":")
    if kind not in get_args(Kind) or bool(colon) == (kind in _BARE):
        raise ValueError(_GRAMMAR)
    if kind not in _BARE and not name:
        raise ValueError(_GRAMMAR)
    if kind == "header":
        if not HEADER_NAME.fullmatch(name):
            raise ValueError('a header is named as in "header:X-Signature"')
        name = name.lower()
    if kind == "json" and not _POINTER.fullmatch(name):
        raise ValueError('a place in JSON is a JSON Pointer (RFC 6901), as in "json:/event/type"')
    return Selector(cast("Kind", kind), name)


def _parse_joined(value: object) -> tuple[Selector, ...]:
    values = value if isinstance(value, list | tuple) and not isinstance(value, Selector) else [value]
    if not values:
        raise ValueError("must name at least one place")
    return tuple(map(parse_selector, values))


Place = Annotated[Selector, PlainValidator(parse_selector)]
JoinedPlaces = Annotated[tuple[Selector, ...], PlainValidator(_parse_joined)]
"""One place, or a list of them that counts only if all are there."""
