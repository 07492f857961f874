"""The names of OpenTelemetry's semantic conventions, in the version that is installed."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from opentelemetry.semconv import attributes
from opentelemetry.semconv._incubating import attributes as incubating


@cache
def attribute_names() -> frozenset[str]:
    """Every attribute that there is, also those that aren't stable yet."""
    names = set()
    for package in (attributes, incubating):
        for module in iter_modules(package.__path__, package.__name__ + "."):
            found = vars(import_module(module.name))
            names |= {value for name, value in found.items() if name.isupper() and isinstance(value, str)}
    return frozenset(names)
