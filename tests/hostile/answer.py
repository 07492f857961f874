"""What came back over a socket."""

import json
from typing import Any, NamedTuple

JSON = "application/json"
PROBLEM = "application/problem+json"


class Answer(NamedTuple):
    """An answer of the edge."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of problem details; "" if it is none, or the answer to HEAD."""
        if self.content_type != PROBLEM or not self.body:
            return ""
        return str(self.json["code"])
