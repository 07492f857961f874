"""An answer that a provider wants, as it is declared."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from hookline.config.section import Section
from hookline.config.selector import HEADER_NAME


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name) or not text.isprintable() or not text.isascii():
            raise ValueError(f"{name!r} must be a header's name, with printable ASCII as its value")
    return value


class Answer(Section):
    """Status, headers and body of an answer."""

    status: int = Field(default=200, ge=200, le=599)
    content_type: str = Field(default="application/json", pattern=r"^[!-~][ -~]*$")
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default={})
    body: str = ""

    @model_validator(mode="after")
    def _empty_if_no_content(self) -> Self:
        if self.status in (204, 304) and self.body:
            raise ValueError(f"status {self.status} has no body; leave body out, or answer 200")
        return self
