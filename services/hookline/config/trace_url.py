"""Where people look at a trace."""

import re
from typing import Annotated

from pydantic import AfterValidator

TRACE_ID = "{trace_id}"
_URL = re.compile(r"https?://[!-~]+")


def _check(value: str) -> str:
    if not _URL.fullmatch(value) or TRACE_ID not in value:
        raise ValueError(
            f'must be a URL with {TRACE_ID} in it, such as "https://tempo.example.com/trace/{TRACE_ID}"'
        )
    return value


TraceUrl = Annotated[str, AfterValidator(_check)]


def link(template: str, trace_id: str) -> str:
    """The URL of one trace."""
    return template.replace(TRACE_ID, trace_id)
