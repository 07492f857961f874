"""Answer a provider that makes sure that an endpoint is ours."""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from hookline.config.handshake import Handshake
from hookline.config.selector import parse_selector
from hookline.edge.answers import Answer
from hookline.edge.schemes.places import Context, reader
from hookline.edge.schemes.verdict import Refusal

_CHALLENGE = re.compile(r"\{(challenge(?::hmac-sha256-hex)?)\}")
_VISIBLE = re.compile(r"[ -~]*")
_NOT_A_PAGE = (
    # What somebody else chose is sent back: a browser must not take it for a page of ours.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"cache-control", b"no-store"),
)


class HandshakeCheck:
    """Recognises one kind of handshake and answers it.

    Args:
        declared: What it looks like.
        secrets: Every live secret, the newest first.
        verify_token: What the provider was told to repeat; None if nothing.
    """

    def __init__(self, declared: Handshake, secrets: Sequence[bytes], verify_token: bytes | None) -> None:
        self.method = declared.method
        self.signed = declared.signed
        self._declared = declared
        self._conditions = [(reader(parse_selector(place)), value) for place, value in declared.when.items()]
        self._challenge = reader(declared.challenge) if declared.challenge else None
        self._repeated = reader(declared.verify_token) if declared.verify_token else None
        self._secrets = secrets or (b"",)
        self._verify_token = verify_token

    def answer(self, context: Context) -> Answer | Refusal | None:
        """The answer, or why there is none; None if the request isn't this handshake."""
        if any(read(context) != value for read, value in self._conditions):
            return None
        challenge = self._challenge(context) if self._challenge else ""
        if challenge is None:
            return None
        if self._repeated is not None:
            repeated = (self._repeated(context) or "").encode()
            expected = self._verify_token or b""
            if not expected or not hmac.compare_digest(sha256(repeated).digest(), sha256(expected).digest()):
                return Refusal.BAD_VERIFY_TOKEN
        return self._answer(challenge, self._secrets[context.secret])

    def _answer(self, challenge: str, secret: bytes) -> Answer | None:
        declared = self._declared.answer
        texts = {
            "challenge": challenge,
            "challenge:hmac-sha256-hex": hmac.digest(secret, challenge.encode(), "sha256").hex(),
        }
        headers = []
        for name, value in declared.headers.items():
            filled = _CHALLENGE.sub(lambda match: texts[match[1]], value)
            if not _VISIBLE.fullmatch(filled):
                return None
            headers.append((name.lower().encode("ascii"), filled.encode("ascii")))
        is_json = declared.content_type.endswith("json")

        def fill(match: re.Match[str]) -> str:
            text = texts[match[1]]
            return msgspec.json.encode(text).decode()[1:-1] if is_json else text

        return Answer(
            declared.status,
            _CHALLENGE.sub(fill, declared.body).encode(),
            declared.content_type.encode("ascii"),
            (*headers, *_NOT_A_PAGE),
            outcome="handshake",
        )
