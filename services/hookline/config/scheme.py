"""`[schemes.NAME]`: how one provider signs its webhooks, names its events and wants to be answered."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from hookline.config.answer import Answer
from hookline.config.event_keys import EventKeys
from hookline.config.handshake import Handshake
from hookline.config.presets import preset, preset_names
from hookline.config.section import Section
from hookline.config.signature import Signature


class Scheme(Section):
    """How one provider signs its webhooks, names its events and wants to be answered. Presets are written so too."""

    extends: str | None = None
    """A preset, of which this one replaces what it says: whole settings, and of `event` single ones."""
    title: str = ""
    """The provider's name, for lists."""
    docs: tuple[str, ...] = ()
    """Where the provider says all this."""
    signatures: tuple[Signature, ...] = Field(default=(), max_length=8)
    """Any of them verifies."""
    plugin: str | None = None
    """The code that verifies, where it can't be declared."""
    unsafe: bool = False
    """Must be said of a scheme that lets everybody in: algorithm "none"."""
    content_types: tuple[
        Annotated[str, StringConstraints(min_length=1, pattern="^[!-:<-~]+$", to_lower=True)], ...
    ] = ("application/json",)
    """Media types that the provider sends, without parameters; "application/*" and "*" are possible."""
    event: EventKeys = EventKeys()
    success: Answer | None = None
    """The answer after the commit. None: 200 and a JSON object with the event's id."""
    refusal: Answer | None = None
    """The answer to what doesn't verify. None: 401 and problem details."""
    handshakes: tuple[Handshake, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _extended(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("extends"), str):
            return value
        if value["extends"] not in preset_names():
            raise ValueError(
                f"extends {value['extends']!r}, which is no preset; known are {', '.join(preset_names())}"
            )
        base = dict(preset(value["extends"]))
        # How it verifies is one thing, said in one of two ways.
        if "plugin" in value:
            base.pop("signatures", None)
        if "signatures" in value:
            base.pop("plugin", None)
        event = {**base.get("event", {}), **value["event"]} if isinstance(value.get("event"), dict) else None
        return {**base, **value, **({"event": event} if event is not None else {})}

    @model_validator(mode="after")
    def _verifies(self) -> Self:
        if bool(self.signatures) == (self.plugin is not None):
            raise ValueError("must declare signatures, or name a plugin, and not both")
        open_ = any(signature.algorithm == "none" for signature in self.signatures)
        if open_ and not self.unsafe:
            raise ValueError('lets everybody in with algorithm "none"; if that is meant, set unsafe = true')
        if self.unsafe and not open_:
            raise ValueError('is unsafe only with algorithm "none"; leave unsafe out')
        if open_ and len(self.signatures) > 1:
            raise ValueError('with algorithm "none" further signatures mean nothing; leave them out')
        if self.success is not None and self.success.status >= 300:  # noqa: PLR2004
            raise ValueError(
                "success.status must be 2xx: the event is committed, and anything else is sent again"
            )
        if self.refusal is not None and self.refusal.status < 400:  # noqa: PLR2004
            raise ValueError("refusal.status must be 4xx or 5xx: the provider would take it for success")
        return self

    @model_validator(mode="after")
    def _tells_events_apart(self) -> Self:
        dedup = self.event.dedup
        places = [place for alternative in dedup for place in alternative]
        needs_id = bool(dedup) and all("id" in (place.kind for place in alternative) for alternative in dedup)
        for signature in self.signatures:
            if needs_id and signature.id is None:
                raise ValueError(
                    "event.dedup names the signed id, and not every signature says where that is: id = ..."
                )
            unsigned = [place for place in places if not signature.covers(place)]
            if unsigned and self.event.repeat == "duplicate":
                raise ValueError(
                    f'event.dedup names "{unsigned[0]}", which the signature doesn\'t cover: who sends a webhook again '
                    'under another\'s key would hide that one; set event.repeat = "revision"'
                )
        return self

    @property
    def unused(self) -> dict[str, str]:
        """Settings of a source that this scheme has no use for, and why."""
        stamped = self.plugin or any(signature.timestamp for signature in self.signatures)
        uses = {
            "secrets": ("its scheme lets everybody in", self.needs_secrets),
            "options": ("its scheme has no plugin", self.plugin),
            "tolerance": ("its scheme has no signed timestamp", stamped),
            "verify_token": (
                "no handshake of its scheme repeats one",
                any(one.verify_token for one in self.handshakes),
            ),
        }
        return {setting: why for setting, (why, is_used) in uses.items() if not is_used}

    @property
    def needs_secrets(self) -> bool:
        """Whether a source can't do without a secret."""
        return not self.unsafe

    @property
    def secret_headers(self) -> frozenset[bytes]:
        """Headers, in lower case, that hold the secret itself and not what was made with it."""
        return frozenset(
            signature.at.name.encode("ascii")
            for signature in self.signatures
            if signature.algorithm in ("token", "basic") and signature.at.kind == "header"
        )
