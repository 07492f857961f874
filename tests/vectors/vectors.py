"""Signed webhooks, genuine and forged, with a verdict that was reached without Hookline.

One file for each provider, made with the provider's own SDKs (`oracles`); `ambiguous/` holds cases of which these think
differently, or more leniently than a gateway should. A case has what is not as `usual` in its file, the `headers` as
sent, the `expect`ed verdict, and the body as text, base64 or `body_parts`: text and how often it comes, for a body
too large to be kept; these were signed anew with `hmac` and `cryptography`. Every secret is made up.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROVIDERS = tuple(sorted(path.stem for path in HERE.glob("*.json")))
AMBIGUOUS = tuple(sorted(path.stem for path in (HERE / "ambiguous").glob("*.json")))


@dataclass(frozen=True, slots=True)
class Vector:
    name: str
    secret: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_valid: bool
    """Of an ambiguous one, nothing."""
    why: str
    method: str
    url: str
    now: float
    scheme: Any
    """Which of a provider's schemes, or the settings of a `generic` one."""

    def __str__(self) -> str:
        return self.name


@cache
def vectors(provider: str) -> tuple[Vector, ...]:
    """The settled cases of a provider."""
    return _read(HERE / f"{provider}.json")


@cache
def ambiguous(provider: str) -> tuple[Vector, ...]:
    """The cases of a provider that are to be decided."""
    return _read(HERE / "ambiguous" / f"{provider}.json")


def begini() -> list[Vector]:
    return list(vectors("begini"))


def _read(path: Path) -> tuple[Vector, ...]:
    file = json.loads(path.read_text(encoding="utf-8"))
    return tuple(_vector({**file["usual"], **case}, file) for case in file["cases"])


def _vector(case: Mapping[str, Any], file: Mapping[str, Any]) -> Vector:
    scheme = case.get("scheme")
    return Vector(
        name=case["name"],
        secret=case["secret"],
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in case["headers"]],
        body=_body(case),
        is_valid=case.get("expect") == "valid",
        why=case["why"],
        method=case["method"],
        url=case["url"],
        now=case["now"],
        scheme=file["schemes"][scheme] if isinstance(scheme, int) else scheme,
    )


def _body(case: Mapping[str, Any]) -> bytes:
    if "body_parts" in case:
        return "".join(text * count for text, count in case["body_parts"]).encode()
    return case["body"].encode() if "body" in case else base64.b64decode(case["body_b64"])
