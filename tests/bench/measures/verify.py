"""Microseconds that one signature takes, for every preset: a genuine webhook of 1 kB with one live secret."""

import json
import time
from statistics import median

from bench.samples import Reading
from hookline.edge.schemes.verdict import Verified
from unit.signer import Draft
from unit.signers import SIGNERS

BODY_BYTES = 1024
_BATCHES = 25
_SECONDS = 0.004
"""How long a batch is about, of processor time: neighbours don't count, and the clock's own time hardly does."""
_BODY = json.dumps({"id": "evt_1", "type": "thing.made", "filler": "x" * (BODY_BYTES - 48)}).encode()


def measure() -> dict[str, Reading]:
    """The median of batches, by the preset and the way in which it signs."""
    return {str(signer): _measure(number) for number, signer in enumerate(SIGNERS)}


def _measure(number: int) -> Reading:
    signer = SIGNERS[number]
    incoming = signer.make(Draft(body=_BODY)).incoming
    verify = signer.scheme().verify
    assert isinstance(verify(incoming), Verified), f"{signer} is not verified"
    started = time.process_time()
    verify(incoming)
    calls = max(1, int(_SECONDS / (time.process_time() - started)))
    took = []
    for _ in range(_BATCHES):
        started = time.process_time()
        for _ in range(calls):
            verify(incoming)
        took.append((time.process_time() - started) / calls * 1e6)
    return Reading(
        median(took), "µs", {"body_bytes": len(incoming.body), "best": min(took), "worst": max(took)}
    )
