"""What of a refused request people may see: its head, without what may be a secret, and cut to a bounded size.

Headers are masked by their names, and shown where the name says nothing: a header that a scheme reads a static token
from is named to `Mask`. In the target it is the other way round: of a query only values are shown whose names are known
to hold no secret.
"""

import re
from collections.abc import Collection

import msgspec

from hookline import config
from hookline.edge.schemes.incoming import Headers

MASKED = "***"
MOST_HEADERS = 100
MOST_HEADER_BYTES = 16 * 1024
"""Of names and values, before they are written as JSON."""
LONGEST_VALUE = 1024
LONGEST_TARGET = 2048
LONGEST_METHOD = 32
_CUT = "…"

_SECRET_NAME = re.compile(
    # `auth` covers Authorization, Proxy-Authorization and X-Auth-Token; PayPal names its algorithm with it.
    rb"token|secret|(?<![a-z])pass(?![a-z])|passw|passphrase|pwd|credential|cookie|session|jwt|bearer|auth(?!-algo|-version)"
    # X-Api-Key and x-functions-key, but not what senders call the key of an event.
    rb"|api[-_]?key|(?<!idempotency)(?<!event)(?<!routing)[-_]key$|^key$",
    re.IGNORECASE,
)
_COMPARED = ("token", "basic")
_SHOWN_PARAMETERS = frozenset({"action", "event", "hub.mode", "topic", "type", "version"})


class Mask:
    """Which headers of a source hold a secret, beside those whose names say so.

    Args:
        headers: Names in lower case, such as that of a scheme's static token.
    """

    def __init__(self, headers: Collection[bytes] = ()) -> None:
        self._headers = frozenset(headers)

    def headers(self, headers: Headers) -> str:
        """The header lines as JSON: [name, value] pairs in order of arrival, masked and cut.

        Latin-1 maps every byte to the character of its number, and JSON escapes what is no text.
        """
        shown: list[tuple[str, str]] = []
        room = MOST_HEADER_BYTES
        for name, value in headers:
            room -= min(len(name), LONGEST_VALUE) + min(len(value), LONGEST_VALUE)
            if room < 0 or len(shown) == MOST_HEADERS:
                shown.append((_CUT, f"{len(headers) - len(shown)} more"))
                break
            shown.append((_cut(name.decode("latin-1"), LONGEST_VALUE), self._value(name, value)))
        return msgspec.json.encode(shown).decode()

    def _value(self, name: bytes, value: bytes) -> str:
        # What is cut off a name may be what says that it is secret.
        if name.lower() in self._headers or len(name) > LONGEST_VALUE or _SECRET_NAME.search(name):
            return MASKED
        text = _cut(value.decode("latin-1"), LONGEST_VALUE)
        # A proxy's note of the URL, or a Referer, repeats the query.
        return mask_query(text) if "?" in text else text


def mask_of(declared: config.Scheme) -> Mask:
    """The mask of a scheme's sources: what it compares as it is, is a secret, whatever the header is called."""
    compared = [signature.at for signature in declared.signatures if signature.algorithm in _COMPARED]
    compared += [one.verify_token for one in declared.handshakes if one.verify_token is not None]
    return Mask([place.name.lower().encode("ascii") for place in compared if place.kind == "header"])


def mask_target(url: str) -> str:
    """Path and query of a URL, without values of the query that may be secrets, and cut; Postgres can store it."""
    # A source without a public URL has the path alone, and in that the query may hold another URL.
    if not url.startswith("/"):
        slash = url.find("/", url.find("://") + len("://"))
        url = url[slash:] if slash >= 0 else "/"
    return storable(mask_query(_cut(url.partition("#")[0], LONGEST_TARGET)))


def mask_query(target: str) -> str:
    """Mask the values behind each `?`, except where their names are known to hold no secret."""
    path, mark, query = target.partition("?")
    if not mark:
        return path
    return f"{path}?{'&'.join(_parameter(pair) for pair in re.split('[&;?]', query))}"


def mask_method(method: str) -> str:
    """The method, cut; Postgres can store it."""
    return storable(_cut(method, LONGEST_METHOD))


def storable(text: str) -> str:
    """The text without what Postgres refuses: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _parameter(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if not equals:
        # A bare token has no name.
        return MASKED if pair else ""
    return pair if name in _SHOWN_PARAMETERS else f"{name}={MASKED}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _CUT
