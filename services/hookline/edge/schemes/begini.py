"""Begini: psychometric and device scores of credit applicants.

Signature, answers and the meaning of the keys are from Begini's help centre (pages of 14-15 April 2026): header
`X-Signature`, lower-case hex HMAC-SHA-512 of the raw body with the deployment's API key. Older pages name
`X-Begini-Signature` and SHA-256, so header and algorithm are settings.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Sequence

import msgspec

from hookline import config
from hookline.core.identity import join
from hookline.edge.schemes.hmac_header import HmacHeader
from hookline.edge.schemes.scheme import Envelope, Headers

_LONGEST_FIELD = 512
"""Characters. Begini documents 60 for a uid; what is far beyond that isn't an envelope."""


class _Event(msgspec.Struct):
    type: str


class _Body(msgspec.Struct):
    """The part of the envelope that tells events apart; the decoder skips the rest."""

    uid: str
    integration_id: str
    event: _Event


class Begini:
    """The scheme `begini`."""

    revisions = True
    """Begini sends no event id, and Beacon can score again: the same key with another body is news."""
    refusal = (403, b'{"detail":"Validation Failure"}')
    """From Begini's own example of a receiver."""

    def __init__(self, source: config.Source, secrets: Sequence[bytes]) -> None:
        self._signature = HmacHeader(
            header=source.header or "X-Signature", algorithm=source.algorithm or "sha512", secrets=secrets
        )
        self._decoder = msgspec.json.Decoder(_Body)

    def verifies(self, headers: Headers, body: bytes) -> bool:
        """Whether the raw body was signed with one of the live keys."""
        return self._signature.verifies(headers, body)

    def read(self, body: bytes) -> Envelope | None:
        """Find uid, integration_id and event.type; None if the body isn't such an envelope."""
        # A byte order mark is part of what is signed, not of the JSON (RFC 8259, section 8.1).
        text = body.removeprefix(BOM_UTF8)
        try:
            envelope = self._decoder.decode(text)
        except msgspec.ValidationError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            try:
                # msgspec refuses a lone surrogate (`\ud800`) anywhere, also where it need not look. Genuine bodies
                # hold them, when somebody's name was cut in the middle of a character.
                envelope = msgspec.convert(json.loads(text.decode(), parse_int=_unread), _Body)
            except (ValueError, msgspec.MsgspecError, RecursionError):
                return None
        fields = (envelope.integration_id, envelope.uid, envelope.event.type)
        if not all(map(_is_storable, fields)):
            return None
        return Envelope(type=envelope.event.type, dedup_key=fields, ordering_key=join(fields[:2]))


def _unread(_: str) -> None:
    """No number is of interest, and Python refuses to read a very long one."""


def _is_storable(field: str) -> bool:
    """Whether Postgres takes the text, which has no NUL and no surrogate in it, and it tells anything apart."""
    return 0 < len(field) <= _LONGEST_FIELD and "\0" not in field and (field.isascii() or _is_unicode(field))


def _is_unicode(field: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in field)
