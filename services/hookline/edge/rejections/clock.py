"""The times that a request itself names: what it takes to judge it with no regard to the clock.

Where a signed timestamp stands differs from scheme to scheme, and a plug-in knows it alone. So whatever looks like a
timestamp is tried as the time of receipt. That weakens nothing but the clock: the signature is verified each time, and
the signed timestamp is either among these or the request stays refused.
"""

import re
from collections.abc import Iterator
from itertools import islice

from hookline.edge.schemes.clock import read_iso8601, read_milliseconds, read_seconds
from hookline.edge.schemes.incoming import Incoming

MOST_TIMES = 64
_BODY = 64 * 1024
"""Bytes of the body that are looked through."""
_NUMBER = re.compile(rb"(?<![0-9.])[1-9][0-9]{9,12}(?![0-9.])")
"""Seconds or milliseconds since 1970, from the year 2001."""
_ISO = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_SECONDS_DIGITS = 10


def named_times(incoming: Incoming) -> Iterator[float]:
    """Unix times in seconds that the request names, headers first; each once, a bounded number."""
    return islice(dict.fromkeys(_times(incoming)), MOST_TIMES)


def _times(incoming: Incoming) -> Iterator[float]:
    places = [value for _, value in incoming.headers]
    for text in (*places, incoming.query.encode("utf-8", "replace"), incoming.body[:_BODY]):
        for match in _NUMBER.findall(text):
            seconds = read_seconds(match) if len(match) == _SECONDS_DIGITS else read_milliseconds(match)
            if seconds is not None:
                yield seconds
        for match in _ISO.findall(text):
            iso = read_iso8601(match)
            if iso is not None:
                yield iso
