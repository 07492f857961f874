"""May our role do what edges, relays and operators do?"""

from collections.abc import Sequence
from itertools import groupby

from hookline.doctor.finding import Finding, ok, problem
from hookline.store.rights import NEEDS, Duty, Right

_MOST = 4
"""Objects that are named; `hookline roles show` names all."""


def judge(duty: Duty, role: str, lacking: Sequence[Right]) -> Finding:
    """Whether a role may do this work.

    Args:
        duty: The work.
        role: Our role.
        lacking: What it lacks of all that was asked.
    """
    check = f"rights.{duty}"
    asked = set(lacking)
    missing = [right for right in NEEDS[duty].each() if right in asked]
    if not missing:
        return ok(check, f"role {role} has all")
    named = [_text(list(rights)) for _, rights in groupby(missing, lambda right: (right.kind, right.name))]
    more = f" and {len(named) - _MOST} more" if len(named) > _MOST else ""
    return problem(
        check,
        f"role {role} lacks {', '.join(named[:_MOST])}{more}",
        f'run "hookline roles create" as who owns the schema, then GRANT hookline_{duty} TO "{role}"; or leave this'
        f" part out with --duty, if role {role} isn't meant to do its work",
    )


def _text(rights: Sequence[Right]) -> str:
    """What is lacking of one object."""
    privileges = "/".join(dict.fromkeys(right.privilege for right in rights))
    return f"{privileges} on {rights[0].kind} {rights[0].name}"
