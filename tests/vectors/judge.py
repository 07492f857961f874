"""Shared vectors as Hookline sees them."""

from collections.abc import Mapping
from typing import Any

from hookline import config
from hookline.config.presets import preset
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from vectors.vectors import Vector

PRESETS = {"standardwebhooks": "standard-webhooks"}
"""Where a file is not named after its preset."""


def judge(provider: str, vector: Vector, *, as_preset: str | None = None) -> Verified | Refusal:
    """What Hookline makes of a vector, with another preset than the provider's if one is named."""
    scheme = Scheme(declaration(provider, vector, as_preset), [vector.secret.encode()])
    return scheme.verify(incoming(vector))


def declaration(provider: str, vector: Vector, as_preset: str | None = None) -> config.Scheme:
    if provider == "generic":
        return config.Scheme.model_validate({"signatures": [_generic(vector.scheme)]})
    return config.Scheme.model_validate(preset(as_preset or PRESETS.get(provider, provider)))


def incoming(vector: Vector) -> Incoming:
    """The request as the edge gets it from the server."""
    headers = [(name.lower(), value.strip()) for name, value in vector.headers]
    return Incoming(vector.method, vector.url, headers, vector.body, vector.now)


def _generic(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The vectors' own settings in Hookline's words."""
    algorithm = settings["algorithm"]
    signature: dict[str, Any] = {
        "algorithm": algorithm if algorithm == "token" else f"hmac-{algorithm}",
        "at": f"header:{settings['signature_header']}",
        "prefix": settings["prefix"],
        "key": {"encoding": settings["secret_encoding"], "prefix": settings["secret_prefix"]},
    }
    if algorithm != "token":
        signature |= {"encoding": settings["encoding"], "template": settings["template"]}
    if settings["timestamp_header"]:
        tolerance = f"{settings['tolerance_s']}s"
        signature["timestamp"] = {
            "at": f"header:{settings['timestamp_header']}",
            "unit": settings["timestamp_unit"],
            "past": tolerance,
            "future": tolerance,
        }
    if settings["id_header"]:
        signature["id"] = f"header:{settings['id_header']}"
    return signature
