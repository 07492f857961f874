"""What runbooks tell people to type exists."""

import re
import shlex
from typing import Any

import pytest
import typer

from deploy.alert_rules import RUNBOOKS
from hookline.cli import app

_PAGE = RUNBOOKS.read_text(encoding="utf-8")
_INLINE = re.findall(r"`(hookline [a-z][^`]*)`", _PAGE)
_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", _PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {line for line in [*_INLINE, *"".join(_BLOCKS).splitlines()] if line.startswith("hookline ")}
)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_runbook_is_one_of_ours(line: str) -> None:
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="hookline")
    words = shlex.split(line)[1:]
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        assert name in command.commands, f"hookline has no command {name!r}"
        command = command.commands[name]
        context = command.context_class(command, info_name=name, parent=context)
    if not hasattr(command, "commands"):  # a group may be named as such
        command.parse_args(context, words)


@pytest.mark.parametrize(
    "line", ["hookline dead lost", "hookline dead list all --no-such", "hookline doctor all"]
)
def test_a_mistaken_command_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"no command|No such option|unexpected"):
        test_a_command_of_a_runbook_is_one_of_ours(line)


def test_runbooks_do_name_commands() -> None:
    assert len(COMMANDS) > 10
