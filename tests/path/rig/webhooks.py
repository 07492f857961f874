"""Begini webhooks, sent one at a time."""

import json
from typing import Any
from uuid import uuid4

import httpx

from hookline.simulator.signature import Signer
from path.rig.process import KEY


def body(uid: str = "", *, type_: str = "psychometric_score.complete", score: int = 600) -> bytes:
    details = {"scored_at": 1776000000, "calculated": {"score": score}}
    envelope = {
        "uid": uid or uuid4().hex,
        "integration_id": "4711",
        "event": {"type": type_, "details": details},
    }
    return json.dumps(envelope).encode()


async def post(url: str, content: bytes, headers: dict[str, str] | None = None) -> Any:
    """Send it signed, and answer the edge's JSON."""
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(
            url,
            content=content,
            headers={
                "Content-Type": "application/json",
                "X-Signature": Signer(KEY).sign(content),
                **(headers or {}),
            },
        )
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()
