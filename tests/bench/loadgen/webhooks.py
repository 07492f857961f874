"""Signed Begini webhooks as whole HTTP/1.1 requests, made before the clock starts."""

import hashlib
import hmac

SHARED_KEYS = "k"
"""How the run begins of webhooks that share a few ordering keys."""
OWN_KEYS = "r"
"""The same of webhooks that each have an ordering key of their own."""

# One realistic event of a deployment; only the applicant differs, and where applicants have several events, the time
# of the score. It is about 600 bytes long.
_BEFORE_UID = b'{"uid":"'
_AFTER_UID = (
    b'","integration_id":"8f14e45f-ceea-467f-a9b1-0a6c5b6ed5d8","event":{"type":"psychometric_score.complete",'
    b'"details":{"application_started_at":1776150000,"application_completed_at":1776150871,'
    b'"scored_at":%d,"platform":"WEB","calculated":{"score":612,"risk_band":"C",'
    b'"score_confidence":"0.871428571428571","traits":['
    b'{"key":"conscientiousness","value":"0.333333333333333","risk_band":"C"},'
    b'{"key":"impulsivity","value":"0.481481481481481","risk_band":"B"},'
    b'{"key":"honesty","value":"0.722222222222222","risk_band":"A"}]},"flags":["rushed","inconsistent","changed_device"]}}}'
)


_SCORED_AT = 1776150874


def body(uid: str, *, scored: int = 0) -> bytes:
    """A `psychometric_score.complete` of the applicant, for the `scored`th time: a revision of those before."""
    return _BEFORE_UID + uid.encode() + _AFTER_UID % (_SCORED_AT + scored)


def uid(run: str, sequence: int) -> str:
    """An applicant id of 20 alphanumerics that tells which applicant of which run this is.

    Applicant and integration are the ordering key of a Begini webhook.
    """
    return f"{run:x<12}{sequence:08d}"


def sequence(raw: bytes) -> int:
    """The sequence number in the uid of a body made here."""
    return int(raw[len(_BEFORE_UID) + 12 : len(_BEFORE_UID) + 20])


def shares_key(raw: bytes) -> bool:
    """Whether a body made here is one of many with its ordering key."""
    return raw.startswith(SHARED_KEYS.encode(), len(_BEFORE_UID))


def requests(*, path: str, host: str, api_key: str, run: str, count: int, keys: int = 0) -> list[bytes]:
    """`count` different requests, numbered from 0, of `keys` applicants in turns or of one applicant each."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: begini-webhooks/1.0\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body(uid(run, 0)))}\r\nX-Signature: "
    ).encode()
    key = api_key.encode()
    made = []
    for number in range(count):
        scored, applicant = divmod(number, keys) if keys else (0, number)
        payload = body(uid(run, applicant), scored=scored)
        signature = hmac.digest(key, payload, hashlib.sha512).hex().encode()
        made.append(head + signature + b"\r\n\r\n" + payload)
    return made
