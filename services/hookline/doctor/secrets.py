"""The secrets that hookline.toml names: are they there, and do they look like secrets?"""

import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hookline.config import Settings
from hookline.config.secret_reference import Reference
from hookline.doctor.finding import Finding, of_error, ok, problem, warning
from hookline.errors import ConfigError

_SHORTEST = 16
"""Bytes. What providers draw is longer; what people think up often isn't."""
_PLACEHOLDERS = (
    "change",
    "example",
    "placeholder",
    "replace",
    "secret",
    "password",
    "todo",
    "xxx",
    "local-dev",
    "dummy",
)
"""What stands in examples; lower case."""
_PUBLIC = ("ed25519", "ecdsa-p256-sha256")
"""What verifies isn't secret."""


def look(settings: Settings) -> Iterator[Finding]:
    """Follow all references but those to the database."""
    for name, source in settings.sources.items():
        algorithms = [one.algorithm for one in settings.scheme_of(source).signatures]
        is_public = bool(algorithms) and all(algorithm in _PUBLIC for algorithm in algorithms)
        yield from _of_source(name, source.secrets, is_public=is_public)
        if source.verify_token is not None:
            yield _of_reference(
                f"sources.{name}.verify_token",
                f"secrets.{name}.verify_token",
                source.verify_token,
                is_public=False,
            )
    yield from _keys(settings)


def _of_source(name: str, references: tuple[Reference, ...], *, is_public: bool) -> Iterator[Finding]:
    now = datetime.now(UTC)
    states = [reference.validity.state(now) for reference in references]
    for number, (reference, state) in enumerate(zip(references, states, strict=True)):
        check = f"secrets.{name}.{number}"
        if reference.kind == "stored":
            continue  # opened with what the database has
        if state == "expired":
            yield warning(check, f"{reference}: is over", f"remove it from sources.{name}.secrets")
        else:
            yield _of_reference(f"sources.{name}.secrets", check, reference, is_public=is_public)
    if references and not any(state == "live" for state in states):
        yield problem(f"secrets.{name}", "none is live now", "add a secret that is valid")


def _keys(settings: Settings) -> Iterator[Finding]:
    keys = settings.secrets.keys
    keeps_bodies = settings.rejections.enabled and settings.rejections.body == "sealed"
    if not keys and not keeps_bodies:
        yield ok("secrets.keys", "none, and nothing that needs one")
        return
    if not keys:
        yield warning(
            "secrets.keys",
            "no key is configured: secrets can't be stored, and bodies of refused requests aren't kept",
            "make one with `hookline sources secrets new-key`, and name it in secrets.keys",
        )
        return
    try:
        settings.secrets.sealer()
    except ConfigError as error:
        yield of_error("secrets.keys", error)
        return
    open_ = [str(reference) for reference in keys if _is_world_readable(reference)]
    if open_:
        yield _world_readable("secrets.keys", open_[0])
    else:
        yield ok("secrets.keys", f"{len(keys)} usable")


def _of_reference(setting: str, check: str, reference: Reference, *, is_public: bool) -> Finding:
    try:
        secret = reference.resolve(setting)
    except ConfigError as error:
        return of_error(check, error)
    if is_public:
        return ok(check, f"{reference}: there")
    text = secret.decode().lower()
    if any(word in text for word in _PLACEHOLDERS):
        return warning(check, f"{reference}: reads like a placeholder", "put in the provider's secret")
    if len(secret) < _SHORTEST:
        return warning(
            check,
            f"{reference}: has fewer than {_SHORTEST} bytes, so it might be guessed",
            "let the provider draw a longer one",
        )
    if _is_world_readable(reference):
        return _world_readable(check, str(reference))
    return ok(check, f"{reference}: there")


def _is_world_readable(reference: Reference) -> bool:
    with suppress(OSError):
        return reference.kind == "file" and bool(Path(reference.place).stat().st_mode & stat.S_IROTH)
    return False


def _world_readable(check: str, what: str) -> Finding:
    return warning(
        check,
        f"{what}: everybody on this machine can read it",
        "chmod o-r, with the edge's user as its owner (Kubernetes: defaultMode 0400)",
    )
