from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.filter import Filter
from unit.logged_event import logged_event

names = st.text("abx._-*?[]!\n", max_size=6)
globs = st.lists(st.text("abx._*?[]!", min_size=1, max_size=6), min_size=1, max_size=4)


@given(sources=globs, types=globs, source=names, type_=names)
def test_it_wants_what_any_source_glob_and_any_type_glob_match(
    sources: list[str], types: list[str], source: str, type_: str
) -> None:
    wanted = Filter(sources=sources, types=types)
    expected = any(fnmatchcase(source, glob) for glob in sources) and any(
        fnmatchcase(type_, glob) for glob in types
    )
    # Asked twice: the second answer comes from memory.
    assert [wanted.matches(logged_event(source, type_)) for _ in range(2)] == [expected] * 2


@given(source=names, type_=st.text(max_size=20))
def test_a_star_wants_everything(source: str, type_: str) -> None:
    assert Filter(sources=["*"], types=["*"]).matches(logged_event(source, type_))


@pytest.mark.parametrize(
    ("glob", "type_", "wanted"),
    [
        ("*_score.complete", "psychometric_score.complete", True),
        ("*_score.complete", "psychometric_score.completed", False),
        ("application.*", "application.complete", True),
        ("application.*", "applicationXcomplete", False),
        ("Application.*", "application.complete", False),
        ("application.[ce]*", "application.expired", True),
        ("unparsable", "unparsable", True),
    ],
)
def test_globs_over_types(glob: str, type_: str, *, wanted: bool) -> None:
    assert Filter(sources=["*"], types=[glob]).matches(logged_event("begini", type_)) is wanted


def test_what_it_remembers_is_bounded_and_right_beyond_the_bound() -> None:
    wanted = Filter(sources=["*"], types=["1*"])
    for number in range(10_000):
        assert wanted.matches(logged_event("begini", str(number))) == str(number).startswith("1")
    assert len(wanted._verdicts) <= Filter._REMEMBERED
    assert not wanted.matches(logged_event("begini", "9999"))
