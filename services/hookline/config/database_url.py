"""A PostgreSQL URL, looked at before anything connects: what a driver says of a wrong one quotes it."""

from urllib.parse import parse_qsl, urlsplit

from hookline.errors import ConfigError

_SCHEMES = ("postgresql", "postgres")
_HIGHEST_PORT = 65_535
_ENCODE = (
    "in a user's name or password, write such characters percent-encoded: / as %2F, ? as %3F, # as %23, @ as %40, "
    ": as %3A, [ as %5B, ] as %5D, % as %25"
)


def checked(url: str, *, where: str) -> str:
    """The URL, if one can connect to what it says.

    Args:
        url: As it is configured.
        where: The setting that it comes from.

    Raises:
        ConfigError: It isn't one. The message has no part of it: any may belong to the password.
    """
    problem = _problem(url)
    if problem is not None:
        raise ConfigError(
            f"{where} can't be used: {problem}; it must be like postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        )
    return url


def _problem(url: str) -> str | None:
    if not url.isprintable() or " " in url:  # before `urlsplit`, which leaves out line breaks
        return f"it has a space or a control character in it; {_ENCODE}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"its brackets don't match, or stand where no IPv6 address does; {_ENCODE}"
    if parts.scheme not in _SCHEMES:
        return 'it must begin with "postgresql://"'
    # A password that isn't encoded ends too early; its rest is then taken for hosts, a path, a query or a fragment.
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if (
        parts.fragment
        or parts.netloc.count("@") > 1
        or "@" in parts.path + parts.query
        or not all(_is_host(host) for host in hosts)
        or (len(hosts) > 1 and "" in hosts)
    ):
        return (
            f'what stands after the "@", or where it should, isn\'t a host, a port and a database; {_ENCODE}'
        )
    return _query_problem(parts.query)


def _query_problem(text: str) -> str | None:
    try:
        query = dict(parse_qsl(text, strict_parsing=True, keep_blank_values=True))
    except ValueError:
        return f'what follows "?" isn\'t a list of NAME=VALUE joined by "&"; {_ENCODE}'
    if not all(_is_port(port) for port in query.get("port", "").split(",")):
        return f"a port in its query isn't a number from 1 to {_HIGHEST_PORT}"
    return None


def _is_host(text: str) -> bool:
    """Whether it is a host, perhaps with a port; there may be none where the query names it, or a socket is used."""
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        return bool(address and bracket) and (not port or (port[0] == ":" and _is_port(port[1:])))
    host, _, port = text.partition(":")
    return not set("[]") & set(host) and _is_port(port)


def _is_port(text: str) -> bool:
    """Whether it is a port, or none."""
    return not text or (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= _HIGHEST_PORT)
