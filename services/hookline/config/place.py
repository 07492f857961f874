"""Say of a table where in it something is wrong, when only the whole shows that it is."""

from pydantic_core import PydanticCustomError

PLACE = "hookline_place"
"""Type of these errors."""


def below(place: str, message: str) -> PydanticCustomError:
    """An error of a table, with the place below it.

    Args:
        place: Keys below the table's, such as "begini.scheme = 'bigini'".
        message: What is wrong there, and how to mend it.
    """
    return PydanticCustomError(PLACE, "{message}", {"place": place, "message": message})
