"""Where a server listens."""

from typing import Annotated

from pydantic import AfterValidator

from hookline import address


def _address(value: str) -> str:
    address.parse(value)
    return value


ListenAddress = Annotated[str, AfterValidator(_address)]
