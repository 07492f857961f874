"""How each provider signs its webhooks and names its events."""

from hookline import config
from hookline.edge.schemes.begini import Begini
from hookline.edge.schemes.scheme import Scheme

_SCHEMES = {"begini": Begini}


def build(name: str, source: config.Source) -> Scheme:
    """The scheme of a configured source, with its live secrets.

    Raises:
        ConfigError: A secret is missing.
    """
    return _SCHEMES[source.scheme](source, source.resolve_secrets(name))
