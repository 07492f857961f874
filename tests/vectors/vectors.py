"""Signed webhooks, genuine and forged, with a verdict that was reached without Hookline.

`begini.json`: each case has the `secret`, the `headers` as sent (`raw_headers` where one is repeated), the body in
base64 or as `body_parts` (text and how often it is repeated, for a body too large to be kept), the `expect`ed
verdict, and the `oracle` that reached it.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Vector:
    name: str
    secret: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_valid: bool


def begini() -> list[Vector]:
    cases = json.loads(Path(__file__).with_name("begini.json").read_text(encoding="utf-8"))
    return [
        Vector(
            name=case["name"],
            secret=case["secret"],
            headers=[
                (name.encode(), value.encode("latin-1"))
                for name, value in case.get("raw_headers") or case["headers"].items()
            ],
            body="".join(text * count for text, count in case["body_parts"]).encode()
            if "body_parts" in case
            else base64.b64decode(case["body_b64"]),
            is_valid=case["expect"] == "valid",
        )
        for case in cases
    ]
