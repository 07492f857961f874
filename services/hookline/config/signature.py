"""`[[schemes.NAME.signatures]]`: one way in which a provider signs."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from hookline.config.duration import Duration, DurationOrZero
from hookline.config.section import Section
from hookline.config.selector import Place, Selector, parse_selector

Algorithm = Literal[
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "ed25519",
    "ecdsa-p256-sha256",
    "token",
    "basic",
    "none",
]
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KNOWN = ("body", "timestamp", "id", "url", "method")
_UNSIGNED = ("token", "basic", "none")


def _template(value: str) -> str:
    for name in PLACEHOLDER.findall(value):
        if name not in _KNOWN and not (
            name.startswith(("header:", "query:")) and parse_selector(name) is not None
        ):
            raise ValueError(
                f"holds {{{name}}}; known are {{body}}, {{timestamp}}, {{id}}, {{url}}, {{method}}, {{header:NAME}} "
                "and {query:NAME}"
            )
    if re.search(r"[{}]", PLACEHOLDER.sub("", value)):
        raise ValueError("holds a brace that belongs to no placeholder")
    return value


class Key(Section):
    """How the text of a secret becomes a key."""

    encoding: Literal["utf8", "base64", "hex", "pem", "der"] = "utf8"
    """`der` is the base64 of a DER SubjectPublicKeyInfo; for public keys `base64` and `hex` are the raw key."""
    prefix: str = ""
    """Taken off first, such as "whsec_"."""
    prefix_required: bool = True
    """Whether a secret without the prefix is another kind of secret."""


class Timestamp(Section):
    """When the provider says that it signed."""

    at: Place
    unit: Literal["s", "ms", "iso8601"] = "s"
    past: Duration = timedelta(minutes=5)
    """How old a signature may be."""
    future: DurationOrZero = timedelta(minutes=5)
    """How far ahead of ours the provider's clock may be."""


class Signature(Section):
    """One way in which a provider signs."""

    algorithm: Algorithm
    at: Place = Selector("header", "x-signature")
    separator: str = ""
    """Between several signatures, or between fields. Empty: the value is one signature."""
    field: str = ""
    """The fields `FIELD=signature` are the signatures. Empty: the parts themselves are."""
    prefix: str = ""
    """Before each signature's text. What begins otherwise is another kind of signature."""
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    """`hex` is lower case; `base64url` has no padding."""
    template: Annotated[str, AfterValidator(_template)] = "{body}"
    """What is signed."""
    key: Key = Key()
    timestamp: Timestamp | None = None
    id: Place | None = None
    """The provider's id of the message, if the signature covers it."""

    @model_validator(mode="after")
    def _signs_what_it_uses(self) -> Self:
        placeholders = PLACEHOLDER.findall(self.template)
        if "timestamp" in placeholders and self.timestamp is None:
            raise ValueError("its template holds {timestamp}; say where that is: timestamp = { at = ... }")
        if "id" in placeholders and self.id is None:
            raise ValueError("its template holds {id}; say where that is: id = ...")
        if self.id is not None and not _covers(placeholders, "id", self.id):
            raise ValueError("its id is not covered by the template; put {id} into it, or leave id out")
        if self.algorithm not in _UNSIGNED and "body" not in placeholders and self.at.kind != "json":
            raise ValueError(
                "its template must hold {body}: a signature that doesn't cover it proves nothing"
            )
        if self.timestamp is not None and not _covers(placeholders, "timestamp", self.timestamp.at):
            raise ValueError("its timestamp is not covered by the template; put {timestamp} into it")
        return self

    @model_validator(mode="after")
    def _finds_what_it_uses(self) -> Self:
        if self.field and not self.separator:
            raise ValueError('has a field but no separator between fields; set separator = ","')
        named = (self.at, self.id, self.timestamp.at if self.timestamp else None)
        places = [place for place in named if place is not None]
        for place in places:
            if place.kind in ("form", "text", "id", "body"):
                raise ValueError(f'"{place}" is no place of a signature, its id or its timestamp')
        if "field" in (self.at.kind, self.id and self.id.kind):
            raise ValueError("only a timestamp can be a field beside the signature")
        if self.timestamp is not None and self.timestamp.at.kind == "field" and not self.field:
            raise ValueError(
                "its timestamp is a field beside the signature; say which field the signature is"
            )
        return self

    def covers(self, place: Selector) -> bool:
        """Whether what is at a place can't be changed without the signature's becoming wrong.

        True for those that cover nothing at all: who may change one thing then may change all.
        """
        if self.algorithm in _UNSIGNED or place == self.id:
            return True
        if place.kind == "query":
            return "{url}" in self.template or f"{{{place}}}" in self.template
        if place.kind == "header":
            return str(place) in map(str.lower, PLACEHOLDER.findall(self.template))
        return True


def _covers(placeholders: Sequence[str], name: str, place: Selector) -> bool:
    """Whether a template signs what is at a place: by its name, or as a part of the body."""
    return name in placeholders or (place.kind == "json" and "body" in placeholders)
