"""PEM files that a setting names, and what is wrong with them."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from hookline.errors import ConfigError


@contextmanager
def naming(setting: str, path: str, *, fix: str = "") -> Iterator[None]:
    """Say which file it is that can't be used.

    Args:
        setting: Who names the file, such as "relay.tls.key".
        path: The file.
        fix: What to do about it.

    Raises:
        ConfigError: The block could not read it, or make anything of it.
    """
    advice = f"; {fix}" if fix else ""
    try:
        yield
    except ssl.SSLError as error:
        why = error.reason or "it isn't a PEM file of the right kind"
        raise ConfigError(f"{setting} = {path!r} can't be used: {why}{advice}") from None
    except OSError as error:
        raise ConfigError(f"{setting} = {path!r} can't be read: {error.strerror}{advice}") from None
