"""What a source may say to its plug-in."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from hookline.errors import ConfigError


def read_options(
    plugin: str, options: Mapping[str, str], *, needed: Sequence[str] = (), possible: Sequence[str] = ()
) -> Mapping[str, str]:
    """The source's options, if they are those that the plug-in knows.

    Raises:
        ConfigError: One is unknown or missing.
    """
    known = (*needed, *possible)
    for name in options:
        if name not in known:
            there_are = f"it knows {', '.join(known)}" if known else "it has none"
            raise ConfigError(
                f"options: plugin {plugin!r} has no option {name!r}; {there_are}. Correct or remove it"
            )
    for name in needed:
        if not options.get(name):
            raise ConfigError(
                f'options: plugin {plugin!r} needs {name!r}; add options = {{ {name} = "..." }} to the source'
            )
    return options


def refuse_tolerance(plugin: str, tolerance: timedelta | None) -> None:
    """For providers that sign no timestamp.

    Raises:
        ConfigError: A tolerance is set.
    """
    if tolerance is not None:
        raise ConfigError(
            f"tolerance: plugin {plugin!r} has no signed timestamp to judge; remove the setting"
        )
