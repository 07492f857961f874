"""What a JSON Schema doesn't allow in a body, said without anything of the body."""

from typing import NamedTuple


class SchemaFinding(NamedTuple):
    """One disagreement of a body with its schema."""

    keyword: str
    """Of JSON Schema, such as "required"; or "json" for what isn't JSON, and "size" for what is too deep to be judged
    or too large to say where it is wrong."""
    schema_path: str
    """Where the keyword stands in the schema: a JSON Pointer with a `#`; "" if none was asked."""
    path: str
    """Where in the body; keys that the schema doesn't name are `*`."""

    def __str__(self) -> str:
        where = f" ({self.schema_path})" if self.schema_path else ""
        return f"{self.keyword} at {self.path}{where}"
