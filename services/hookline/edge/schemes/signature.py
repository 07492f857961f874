"""Check one kind of signature, as it is declared."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from hookline.config.selector import Selector
from hookline.config.signature import Signature, Timestamp
from hookline.edge.schemes.clock import READERS
from hookline.edge.schemes.encodings import DECODERS
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import Matcher, WrongKey, matcher
from hookline.edge.schemes.places import query_value
from hookline.edge.schemes.template import Parts, compile_template
from hookline.edge.schemes.verdict import Refusal, Verified

_MOST_SIGNATURES: Final = 64
"""Of one request; no provider sends more than a few, and each is compared with each key."""
_MOST_PUBLIC_SIGNATURES: Final = 8
"""With a public key each takes 1.6 ms for a body of 1 MiB, and anybody may send them."""
_PUBLIC: Final = ("ed25519", "ecdsa-p256-sha256")


class Places(Protocol):
    """What is at the JSON places of a body."""

    def get(self, name: str, /) -> str | None:
        """The text at a JSON Pointer."""


_VERIFIED: Final = Verified()


class _Refused(Exception):
    """Ends a check; never leaves it."""

    def __init__(self, cause: Refusal) -> None:
        super().__init__(cause)
        self.cause = cause


class SignatureCheck:
    """Checks one kind of signature with the secrets that are keys for it.

    Args:
        declared: How the provider signs.
        secrets: Every live secret. One that is no key of this kind is passed over.
    """

    def __init__(self, declared: Signature, secrets: Sequence[bytes]) -> None:
        self._name = f"{declared.algorithm} {declared.at}"
        self._at = _reader(declared.at)
        self._separator = declared.separator.encode()
        self._start = (f"{declared.field}=" if declared.field else "").encode() + declared.prefix.encode()
        self._decode = _as_is if declared.algorithm in ("token", "basic") else DECODERS[declared.encoding]
        self._id = _reader(declared.id) if declared.id else None
        self._clock = _Clock(declared.timestamp) if declared.timestamp else None
        self._fill = None if declared.template == "{body}" else compile_template(declared.template)
        """None: the body alone is signed."""
        self._signs_timestamp = "{timestamp}" in declared.template
        self._is_open = declared.algorithm == "none"
        self.is_public = declared.algorithm in _PUBLIC
        """Whether its keys are public ones, which anybody may know."""
        self.refused: dict[bytes, str] = {}
        """Secrets that are no keys here, and why."""
        self._keys: list[tuple[int, Matcher]] = []
        for number, secret in enumerate(secrets):
            try:
                self._keys.append((number, matcher(declared.algorithm, declared.key, secret)))
            except WrongKey as error:
                self.refused[secret] = str(error)

    def __repr__(self) -> str:
        return f"<SignatureCheck {self._name} keys={len(self._keys)}>"

    def check(self, incoming: Incoming, json: Places) -> Verified | Refusal:
        """Check a request; every signature is tried with every key.

        Args:
            incoming: The request.
            json: What is at the JSON places of its body.
        """
        if self._is_open:
            return Verified()
        try:
            return self._check(incoming, json)
        except _Refused as refused:
            return refused.cause

    def _check(self, incoming: Incoming, json: Places) -> Verified:
        text = self._at(incoming, json)
        if text is None:
            raise _Refused(Refusal.MISSING_SIGNATURE)
        # The fields beside the signature are split off even where there is but one.
        parts = text.split(self._separator) if self._separator else [text]
        signatures = self._signatures(parts)
        timestamp = b""
        if self._clock and self._signs_timestamp:
            timestamp = self._clock.read(parts, incoming, json)
        id_ = self._id(incoming, json) if self._id else b""
        if id_ is None:
            raise _Refused(Refusal.MISSING_ID)
        message = self._fill(Parts(incoming, timestamp, id_)) if self._fill else incoming.body
        if message is None:
            raise _Refused(Refusal.BAD_SIGNATURE)
        right = -1
        for number, key in self._keys:
            # No early exit: how long this takes must not tell which secret was the right one.
            if key.matches(message, signatures):
                right = number
        if right < 0:
            raise _Refused(Refusal.BAD_SIGNATURE)
        if self._clock:
            # One that stands in the body alone is looked for only now: it is verified.
            self._clock.judge(timestamp or self._clock.read(parts, incoming, json), incoming.now)
        return Verified(id_.decode("latin-1"), right) if id_ or right else _VERIFIED

    def _signatures(self, parts: Sequence[bytes]) -> list[bytes]:
        """The signatures among the parts, decoded. What isn't one is passed over: it must not hide one after it."""
        start = self._start
        found = []
        for part in parts:
            if part.startswith(start):
                decoded = self._decode(part[len(start) :])
                if decoded:
                    found.append(decoded)
        if not found:
            raise _Refused(Refusal.MALFORMED_SIGNATURE)
        return found[: _MOST_PUBLIC_SIGNATURES if self.is_public else _MOST_SIGNATURES]


class _Clock:
    """The signed timestamp."""

    def __init__(self, declared: Timestamp) -> None:
        is_field = declared.at.kind == "field"
        self._field = declared.at.name.encode() + b"=" if is_field else b""
        self._at = None if is_field else _reader(declared.at)
        self._read = READERS[declared.unit]
        self._past = declared.past.total_seconds()
        self._future = declared.future.total_seconds()

    def read(self, parts: Sequence[bytes], incoming: Incoming, json: Places) -> bytes:
        """The timestamp as it was sent."""
        if self._at is not None:
            timestamp = self._at(incoming, json)
        else:
            values = [part[len(self._field) :] for part in parts if part.startswith(self._field)]
            timestamp = values[0] if len(values) == 1 else None
        if not timestamp:
            raise _Refused(Refusal.MISSING_TIMESTAMP)
        return timestamp

    def judge(self, text: bytes, now: float) -> None:
        """Refuse what can't be now."""
        time = self._read(text)
        if time is None:
            raise _Refused(Refusal.MALFORMED_TIMESTAMP)
        if now - time > self._past or time - now > self._future:
            raise _Refused(Refusal.STALE_TIMESTAMP)


_Read = Callable[[Incoming, Places], bytes | None]


def _as_is(text: bytes) -> bytes:
    return text


def _reader(place: Selector) -> _Read:
    """How to read the bytes at a place: None if there are none, or if it is there twice."""
    name = place.name
    if place.kind == "header":
        header = name.encode("ascii")
        return lambda incoming, _: incoming.header(header) or None
    if place.kind == "query":
        return lambda incoming, _: _encoded(query_value(incoming, name))
    return lambda _, json: _encoded(json.get(name))


def _encoded(text: str | None) -> bytes | None:
    return text.encode() if text else None
