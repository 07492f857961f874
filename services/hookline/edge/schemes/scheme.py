"""How one source verifies, reads and answers its webhooks: a declaration, with the source's live secrets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from hookline import config
from hookline.config.selector import Selector, parse_selector
from hookline.edge.answers import Answer, problem
from hookline.edge.schemes.event_keys import Envelope, KeyReader
from hookline.edge.schemes.handshake import HandshakeCheck
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.json_places import JsonPlaces
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.places import Context
from hookline.edge.schemes.plugin import Plugin, find_plugin
from hookline.edge.schemes.signature import SignatureCheck
from hookline.edge.schemes.verdict import Refusal, Verified

_BY_INSIGHT: Final = tuple(Refusal)
"""Of several kinds of signature the one that came furthest says why: the later here, the further."""


class Scheme:
    """A source's scheme. Immutable: when the live secrets change, the source gets another.

    Args:
        declared: The preset, or the user's own.
        secrets: Every live secret, the newest first.
        verify_token: What handshakes repeat.
        options: For the plugin.
        tolerance: Replaces the declared tolerance for signed timestamps, past and future.

    Raises:
        WrongKey: A secret is no key for this scheme.
        ConfigError: The plugin is missing or misses something.
    """

    def __init__(
        self,
        declared: config.Scheme,
        secrets: Sequence[bytes] = (),
        *,
        verify_token: bytes | None = None,
        options: Mapping[str, str] | None = None,
        tolerance: timedelta | None = None,
    ) -> None:
        self._declared = declared
        self.revisions: Final = declared.event.repeat == "revision"
        """Whether the same dedup key with another body is a revision, not a duplicate."""
        self.signs_url = any("{url}" in signature.template for signature in declared.signatures)
        """Whether it must be known which URL the provider calls."""
        self._plugin: Plugin | None = None
        self._checks: tuple[SignatureCheck, ...] = ()
        if declared.plugin is not None:
            make = find_plugin(declared.plugin)
            self._plugin = make(secrets, options or {}, tolerance=tolerance)
            self.signs_url = bool(getattr(make, "signs_url", False))
        else:
            signatures = [_tolerating(signature, tolerance) for signature in declared.signatures]
            self._checks = tuple(SignatureCheck(signature, secrets) for signature in signatures)
            _refuse_strangers(secrets, self._checks)
        self._only_check = self._checks[0] if len(self._checks) == 1 else None
        self._signature_places = JsonPlaces(_signature_places(declared.signatures))
        self._event_places = JsonPlaces(_event_places(declared))
        self._keys = KeyReader(declared.event)
        self._handshakes = [HandshakeCheck(one, secrets, verify_token) for one in declared.handshakes]
        self._shakes_on_post = any(one.method == "POST" for one in self._handshakes)
        self._media_types = frozenset(declared.content_types)
        self._plain_types = frozenset(name.encode("ascii") for name in declared.content_types)
        self._refusal = _fixed(declared.refusal)
        self._success = _fixed(declared.success)

    def __repr__(self) -> str:
        return f"<Scheme {self._declared.title or self._declared.plugin!r} {list(self._checks)}>"

    @property
    def other_methods(self) -> frozenset[str]:
        """Methods beside POST that a handshake uses."""
        return frozenset(one.method for one in self._handshakes) - {"POST"}

    def takes(self, content_type: bytes) -> bool:
        """Whether the provider sends this Content-Type."""
        if content_type in self._plain_types:
            return True
        media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
        accepted = self._media_types
        return media_type in accepted or "*" in accepted or f"{media_type.partition('/')[0]}/*" in accepted

    def verify(self, incoming: Incoming) -> Verified | Refusal:
        """Check a request with every live secret, over its raw bytes."""
        if self._plugin is not None:
            return self._plugin.verify(incoming)
        json = _Later(self._signature_places, incoming.body)
        if self._only_check is not None:
            return self._only_check.check(incoming, json)
        refusals = []
        for check in self._checks:
            verdict = check.check(incoming, json)
            if isinstance(verdict, Verified):
                return verdict
            refusals.append(verdict)
        return max(refusals, key=_BY_INSIGHT.index)

    def context(self, incoming: Incoming, verified: Verified, text: bytes | None = None) -> Context:
        """A verified request with what its keys and handshakes need of its body.

        Args:
            incoming: The request.
            verified: What verifying it found.
            text: The body without its Content-Encoding, if it has one.
        """
        json = self._event_places.read(incoming.body if text is None else text)
        return Context(incoming, json, verified.id, verified.secret)

    def read(self, context: Context) -> Envelope | None:
        """Find the keys; None if they aren't where they were declared."""
        return self._keys.read(context)

    def handshake(self, context: Context) -> Answer | Refusal | None:
        """The answer to a verified POST that is a handshake; None if it is a webhook."""
        return self._shake(context, signed=True) if self._shakes_on_post else None

    def open_handshake(self, incoming: Incoming) -> Answer | Refusal | None:
        """The answer to a request of another method, which need not be signed; None if it is no handshake."""
        return self._shake(Context(incoming, {}), signed=False)

    def _shake(self, context: Context, *, signed: bool) -> Answer | Refusal | None:
        for one in self._handshakes:
            if one.method != context.incoming.method or one.signed > signed:
                continue
            answer = one.answer(context)
            if answer is not None:
                return answer
        return None

    def success(self, usual: Answer) -> Answer:
        """The answer after the commit: the provider's, if it has one."""
        return replace(self._success, outcome=usual.outcome) if self._success else usual

    def refusal(self, cause: Refusal) -> Answer:
        """The answer to what doesn't verify."""
        if self._refusal is not None:
            return replace(self._refusal, outcome=str(cause))
        return _PROBLEMS[cause]


_PROBLEMS: Mapping[Refusal, Answer] = {
    cause: problem(HTTPStatus.UNAUTHORIZED, str(cause), detail)
    for cause, detail in {
        Refusal.MISSING_SIGNATURE: "The signature is missing, or there more than once.",
        Refusal.MALFORMED_SIGNATURE: "The signature isn't written as this source's provider writes it.",
        Refusal.BAD_SIGNATURE: "The signature isn't the one of this request with this source's secret.",
        Refusal.MISSING_TIMESTAMP: "The signed timestamp is missing, or there more than once.",
        Refusal.MALFORMED_TIMESTAMP: "The signed timestamp isn't written as this source's provider writes it.",
        Refusal.STALE_TIMESTAMP: "The signed timestamp is too old or too far ahead.",
        Refusal.MISSING_ID: "The signed id is missing, or there more than once.",
        Refusal.BAD_VERIFY_TOKEN: "The verify token isn't the one that is configured for this source.",
    }.items()
}


class _Later:
    """The JSON places of a body, looked for when one is asked for: nobody's body costs more than its signature."""

    def __init__(self, places: JsonPlaces, body: bytes) -> None:
        self._places = places
        self._body = body
        self._found: Mapping[str, str] | None = None

    def get(self, name: str) -> str | None:
        if self._found is None:
            self._found = self._places.read(self._body)
        return self._found.get(name)


def _refuse_strangers(secrets: Sequence[bytes], checks: Sequence[SignatureCheck]) -> None:
    """A secret that is no key for any kind of signature is a mistake of the configuration.

    So is one that may be a public key and a shared one: who knows the public key would sign with it.
    """
    for number, secret in enumerate(secrets, 1):
        reasons = [check.refused.get(secret) for check in checks]
        if None not in reasons:
            raise WrongKey(
                f"secret {number} of {len(secrets)} {' or '.join(dict.fromkeys(map(str, reasons)))}"
            )
        if len({check.is_public for check in checks if secret not in check.refused}) > 1:
            raise WrongKey(
                f"secret {number} of {len(secrets)} may be a public key or a shared one; tell them apart by key.prefix"
            )


def _tolerating(signature: config.Signature, tolerance: timedelta | None) -> config.Signature:
    if tolerance is None or signature.timestamp is None:
        return signature
    timestamp = signature.timestamp.model_copy(update={"past": tolerance, "future": tolerance})
    return signature.model_copy(update={"timestamp": timestamp})


def _signature_places(signatures: Sequence[config.Signature]) -> Iterable[Selector]:
    for signature in signatures:
        yield signature.at
        if signature.id is not None:
            yield signature.id
        if signature.timestamp is not None:
            yield signature.timestamp.at


def _event_places(declared: config.Scheme) -> Iterable[Selector]:
    for alternatives in (declared.event.dedup, declared.event.type, declared.event.ordering_key):
        for places in alternatives:
            yield from places
    for handshake in declared.handshakes:
        yield from map(parse_selector, handshake.when)
        yield from (place for place in (handshake.challenge, handshake.verify_token) if place is not None)


def _fixed(declared: config.Answer | None) -> Answer | None:
    if declared is None:
        return None
    headers = tuple(
        (name.lower().encode("ascii"), text.encode("ascii")) for name, text in declared.headers.items()
    )
    return Answer(declared.status, declared.body.encode(), declared.content_type.encode("ascii"), headers)
