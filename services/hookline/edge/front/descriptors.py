"""The open files that the front's connections need."""

import resource

from hookline.edge.front.connections import HEADROOM
from hookline.errors import ConfigError

_OTHERS = 128
"""For the database, logs, traces and Python itself."""


def reserve(max_connections: int, *, backlog: int) -> None:
    """Raise the process's limit of open files to what is needed.

    Args:
        max_connections: `edge.max_connections`.
        backlog: How many connections may be accepted at once, before the first of them is judged.

    Raises:
        ConfigError: The limit can't be raised so far.
    """
    needed = max_connections + backlog + HEADROOM + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        fitting = hard - (needed - max_connections)
        advice = f"set it to {fitting} at most, or raise" if fitting > 0 else "raise"
        raise ConfigError(
            f"edge.max_connections = {max_connections} needs {needed} open files, and this process may have {hard}: "
            f"{advice} the limit (ulimit -n, or LimitNOFILE= of its systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
