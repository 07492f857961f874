"""Globs, as `fnmatch` knows them, for Postgres."""

import re

_BRACKETS = re.compile(r"\[(?!!\])(!?)(\][^\]]*|[^\]]+)\]")
"""A set of characters, or of those that it may not be; a "]" that comes first is a member."""


def regex(glob: str) -> str:
    """The glob as Postgres matches it; "" fits everything.

    Source: https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP
    """
    if not glob:
        return ""
    pattern = ""
    rest = glob
    while rest:
        in_brackets = _BRACKETS.match(rest)
        if in_brackets:
            members = re.sub(r"([\\\[\]^])", r"\\\1", in_brackets[2])
            pattern += f"[{'^' if in_brackets[1] else ''}{members}]"
            rest = rest[in_brackets.end() :]
            continue
        pattern += {"*": ".*", "?": "."}.get(rest[0]) or re.sub(r"([^\w\s])", r"\\\1", rest[0])
        rest = rest[1:]
    return f"^{pattern}$"
