"""Load the named statements of `sql/*.sql`.

A block starts with `-- name: purpose`; what follows, up to the next such line, is the statement.
"""

import re
from functools import cache
from importlib import resources

_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, str]:
    """The statements of one file, by name."""
    text = resources.files("hookline.store.sql").joinpath(file).read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head[1]: text[head.end() : end].strip().removesuffix(";")
        for head, end in zip(heads, ends, strict=True)
    }
