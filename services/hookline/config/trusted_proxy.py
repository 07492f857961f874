"""A network whose machines may say for whom they ask."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator


def _network(value: object) -> object:
    if isinstance(value, str):
        try:
            return ip_network(value)
        except ValueError as error:
            if "has host bits set" in str(error):
                suggestion = ip_network(value, strict=False)
                raise ValueError(
                    f'has bits beyond its prefix; write "{suggestion}", or the one address'
                ) from None
    elif isinstance(value, IPv4Network | IPv6Network):
        return value
    raise ValueError('must be a network or address such as "10.0.0.0/8", "127.0.0.1" or "fd00::/8"')


TrustedProxy = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
