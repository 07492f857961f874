"""What Hookline makes of the ambiguous vectors, by rule: docs/decisions/0012-ambiguous-signatures.md.

The stricter reading, unless it would refuse a genuine sender.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    accept: bool
    cases: tuple[str, ...]
    """`provider/name` of the vectors, with * for any text."""
    as_preset: str | None = None
    """The preset to judge by, if it isn't the provider's."""

    def covers(self, provider: str, name: str) -> bool:
        return any(fnmatchcase(f"{provider}/{name}", case) for case in self.cases)


UNREADABLE = """
    zero negative nan nan-lower infinity 1e308 1e309 text iso hex fraction exponent underscores plus inner-space
    trailing-text wrong-unit 40-digits 5000-digits superscript
"""

RULES = (
    Rule("raw bytes are what is signed", accept=True, cases=("*/valid-body-*", "zoom/valid-*")),
    Rule(
        "nothing but the raw bytes is what is signed",
        accept=False,
        cases=("stripe/body-bom-added", "zoom/body-*", "zoom/restringified-body"),
    ),
    Rule("a signed header comes once", accept=False, cases=("*/*dup-header-*", "*/dup-ts-header")),
    Rule("the timestamp comes once", accept=False, cases=("stripe/two-t-*",)),
    Rule(
        "every signature of a list is tried, and what isn't one hides none",
        accept=True,
        cases=(
            "standardwebhooks/list-bad-*",
            "standardwebhooks/list-double-space",
            "paddle/two-h1-*",
            "paddle/unknown-key",
        ),
    ),
    Rule("a list has one separator", accept=False, cases=("standardwebhooks/list-comma-separated",)),
    Rule(
        "a signature is written in one way",
        accept=False,
        cases=(
            "*/sig-extended",
            "*/sig-doubled",
            "sendgrid/sig-truncated-1",
            "sendgrid/sig-base64url",
            "sendgrid/sig-no-padding",
            "discord/sig-uppercase-hex",
            "stripe/v1-equals-in-value",
        ),
    ),
    Rule(
        "of ECDSA's two signatures of a message a sender makes either",
        accept=True,
        cases=("sendgrid/sig-malleable",),
    ),
    Rule(
        "the clock is looked at, in both directions",
        accept=False,
        cases=("*/ts-stale-*", "*/ts-future-hour", "*/ts-just-outside-future"),
    ),
    Rule(
        "a timestamp is written in one way, and signed as it is written",
        accept=False,
        cases=(
            "*/ts-same-number-*",
            "*/ts-border-shift",
            *(f"*/ts-{form}" for form in UNREADABLE.split()),
        ),
    ),
    Rule("a URL ends where no URL goes on", accept=False, cases=("square/url-body-shift",)),
    Rule("a key may be pasted without padding", accept=True, cases=("standardwebhooks/secret-unpadded",)),
    Rule(
        "what isn't signed isn't asked for",
        accept=True,
        cases=("shopify/no-topic-headers",),
    ),
    Rule("Shopify's Events have other header names", accept=True, cases=("shopify/events-header*",)),
    Rule("GitLab's token header is the preset `gitlab`", accept=False, cases=("gitlab/signing-token-*",)),
    Rule(
        "GitLab's signing token is the preset `standard-webhooks`",
        accept=True,
        cases=("gitlab/signing-token-right",),
        as_preset="standard-webhooks",
    ),
    Rule(
        "a wrong signing token isn't",
        accept=False,
        cases=("gitlab/signing-token-wrong",),
        as_preset="standard-webhooks",
    ),
    Rule("Twilio isn't consistent about ports", accept=True, cases=("twilio/form-port-*",)),
    Rule(
        "Twilio joins fields without separators, and repeated ones once",
        accept=True,
        cases=("twilio/form-name-value-shift", "twilio/form-repeat-collapsed"),
    ),
    Rule("an unsigned header chooses no algorithm", accept=False, cases=("twilio/form-sha256-shared-key",)),
    Rule(
        "something covers the body, once",
        accept=False,
        cases=("twilio/json-hash-twice-*", "twilio/json-no-hash-url-signed", "twilio/json-form-type"),
    ),
)
