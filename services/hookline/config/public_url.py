"""A URL that providers call."""

import re
from typing import Annotated

from pydantic import AfterValidator

_URL = re.compile(r"https?://[A-Za-z0-9.\-_\[\]:]+(/[!-~]*)?")


def _check(value: str) -> str:
    if not _URL.fullmatch(value) or "?" in value or "#" in value:
        raise ValueError('must be a URL such as "https://hooks.example.com", without query and fragment')
    return value


PublicUrl = Annotated[str, AfterValidator(_check)]
