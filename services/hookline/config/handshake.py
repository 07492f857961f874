"""`[[schemes.NAME.handshakes]]`: how a provider makes sure that an endpoint is ours."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hookline.config.answer import Answer
from hookline.config.section import Section
from hookline.config.selector import Place, parse_selector
from hookline.config.signature import PLACEHOLDER

_KNOWN = ("challenge", "challenge:hmac-sha256-hex")
_PAGE = re.compile("html|xml", re.IGNORECASE)


def _conditions(value: dict[str, str]) -> dict[str, str]:
    for place in value:
        parse_selector(place)
    return value


class Handshake(Section):
    """A request that is answered at once and is no event.

    In the answer's body and headers `{challenge}` is what the provider sent, and `{challenge:hmac-sha256-hex}` its HMAC
    with the secret that verified the request, or the newest one. In a JSON body it is escaped.
    """

    method: Literal["GET", "POST", "OPTIONS"] = "POST"
    when: Annotated[dict[str, str], AfterValidator(_conditions)] = Field(default={})
    """Place = value, all of which must be so. With GET and OPTIONS empty is fine: nothing else uses them."""
    challenge: Place | None = None
    """Where the challenge is; without it, this is no handshake."""
    verify_token: Place | None = None
    """Where the provider repeats the source's `verify_token`."""
    signed: bool = True
    """Whether the request must verify first. Only GET and OPTIONS may do without."""
    answer: Answer

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.method == "POST" and not self.signed:
            raise ValueError(
                "a POST that isn't verified can't be told from a forged event; set signed = true"
            )
        if self.method == "POST" and not self.when:
            raise ValueError("would take every webhook for a handshake; say when = { ... }")
        texts = [self.answer.body, *self.answer.headers.values()]
        for name in (name for text in texts for name in PLACEHOLDER.findall(text)):
            if re.fullmatch(r"[a-z:0-9-]+", name) and name not in _KNOWN:
                raise ValueError(f"its answer holds {{{name}}}; known are {{challenge}} and {{{_KNOWN[1]}}}")
            if name in _KNOWN and self.challenge is None:
                raise ValueError("its answer repeats a challenge; say where that is: challenge = ...")
            if name == _KNOWN[1] and not self.signed:
                # Who may choose what is signed has a signature for every forged webhook.
                raise ValueError(
                    f"would sign with the secret whatever anybody asks for; leave {{{name}}} out"
                )
        if "{challenge}" in self.answer.body and _PAGE.search(self.answer.content_type):
            raise ValueError("would show a browser what somebody else wrote; answer JSON or text/plain")
        if self.method != "POST" and self.signed:
            raise ValueError(
                f"a {self.method} isn't verified, so it would never be answered; set signed = false"
            )
        return self
