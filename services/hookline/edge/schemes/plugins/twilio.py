"""Twilio's signature: the URL and the sorted fields of a form, or the URL with the hash of any other body.

https://www.twilio.com/docs/usage/security#validating-requests
https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py
"""

import re
from binascii import a2b_qp
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import ClassVar, Final

from hookline.config.signature import Algorithm
from hookline.edge.schemes.encodings import decode_base64, decode_hex
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.places import query_value
from hookline.edge.schemes.plugins.live_keys import LiveKeys
from hookline.edge.schemes.plugins.settings import read_options, refuse_tolerance
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError

_FORM: Final = b"application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2_000
"""Of one form. Twilio sends dozens."""
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_URL = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL)
_STANDARD_PORTS = {"https": "443", "http": "80"}
_ALGORITHMS: Final[Mapping[str, Algorithm]] = {"hmac-sha1": "hmac-sha1", "hmac-sha256": "hmac-sha256"}


class Twilio:
    """Verifies Twilio's requests.

    Args:
        secrets: Auth tokens or, with algorithm "hmac-sha256", the secrets of SharedKeys.
        options: `algorithm`: "hmac-sha1" (the default) or "hmac-sha256". Twilio names it in a header too, which isn't
            signed and is never looked at: the secret decides which algorithm it is for.
        tolerance: Refused. Twilio signs no timestamp.

    Raises:
        WrongKey: A secret is empty.
        ConfigError: An option is unknown, or a tolerance is set.
    """

    signs_url: ClassVar[bool] = True

    def __init__(
        self, secrets: Sequence[bytes], options: Mapping[str, str], *, tolerance: timedelta | None = None
    ) -> None:
        refuse_tolerance("twilio", tolerance)
        name = read_options("twilio", options, possible=["algorithm"]).get("algorithm", "hmac-sha1")
        if name not in _ALGORITHMS:
            raise ConfigError(
                f"options: algorithm = {name!r} is none of plugin 'twilio'; write {' or '.join(_ALGORITHMS)}, or leave "
                "it out"
            )
        self._keys = LiveKeys(_ALGORITHMS[name], secrets)

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check the signature, with and without a port in the URL: Twilio isn't consistent, and its SDKs try both.

        The id is a hash of what is signed. Twilio signs no id of its own, and by a mark that isn't signed a request
        could be sent again as another.
        """
        text = incoming.header(b"x-twilio-signature")
        if not text:
            return Refusal.MISSING_SIGNATURE
        signature = decode_base64(text)
        if not signature:
            return Refusal.MALFORMED_SIGNATURE
        covered = _covered(incoming)
        if covered is None:
            return Refusal.BAD_SIGNATURE
        messages = [url + covered for url in _spellings(incoming.url)]
        right = False
        for message in messages:
            right |= self._keys.sign(message, [signature])
        return Verified(sha256(messages[0]).hexdigest()) if right else Refusal.BAD_SIGNATURE


def _covered(incoming: Incoming) -> bytes | None:
    """What is signed after the URL; None if nothing covers the body."""
    content_type = incoming.header(b"content-type") or b""
    is_form = content_type.partition(b";")[0].strip().lower() == _FORM
    if "bodySHA256" in incoming.query:
        # Never a form: the empty one would pass with the URL of any other request, whose body is gone.
        hash_ = None if is_form else query_value(incoming, "bodySHA256")
        signed = None if hash_ is None else decode_hex(hash_.encode(errors="surrogatepass"))
        return b"" if signed is not None and compare_digest(signed, sha256(incoming.body).digest()) else None
    if is_form:
        return _joined_fields(incoming.body)
    # Twilio's SDKs accept any body with a URL that is signed and names no hash.
    return b"" if incoming.method == "GET" and not incoming.body else None


def _joined_fields(form: bytes) -> bytes | None:
    """Names and values, decoded and sorted, with nothing between them; None if it isn't the form that Twilio writes.

    What is there twice with the same value is signed once: so do the SDKs, for genuine requests
    (https://github.com/twilio/twilio-python/issues/613).
    """
    if not form:
        return b""
    if form.count(b"&") >= _MOST_FIELDS or _BROKEN_ESCAPE.search(form):
        return None
    fields = set()
    for field in form.replace(b"+", b" ").split(b"&"):
        name, equals, value = field.partition(b"=")
        if not equals:
            return None
        fields.add((_unescape(name), _unescape(value)))
    return b"".join(part for field in sorted(fields) for part in field)


def _unescape(text: bytes) -> bytes:
    """Percent-decode, as quoted-printable, whose sign is another: `unquote_to_bytes` takes a second for a megabyte."""
    return a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"=")) if b"%" in text else text


def _spellings(url: str) -> Sequence[bytes]:
    """The URL without a port first, then with it or with the standard one."""
    match = _URL.fullmatch(url)
    if match is None:
        return [_encode(url)]
    scheme, authority, rest = match.groups()
    host, colon, port = authority.rpartition(":")
    # The colons of an IPv6 address stand in brackets.
    if not colon or not (port.isascii() and port.isdigit()):
        host, port = authority, _STANDARD_PORTS[scheme]
    return [_encode(f"{scheme}://{host}{rest}"), _encode(f"{scheme}://{host}:{port}{rest}")]


def _encode(url: str) -> bytes:
    return url.encode(errors="surrogatepass")
