"""Globs that somebody sent, as Postgres reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hookline.admin import fields
from hookline.errors import StatementRefused

_INVALID_REGULAR_EXPRESSION: Final = "2201B"


@contextmanager
def globs_that_fit() -> Iterator[None]:
    """Say it when Postgres can't read a filter's glob."""
    try:
        yield
    except StatementRefused as error:
        if error.sqlstate != _INVALID_REGULAR_EXPRESSION:
            raise
        raise fields.wrong(
            "filter",
            'a glob can\'t be read; check what stands in its brackets: "[a-z]" is a range, "[z-a]" none',
        ) from None
