"""The warning of a relay that anybody can call."""

import ipaddress

import structlog

from hookline import address, config

_log = structlog.get_logger(__name__)


def warn_if_exposed(settings: config.Relay) -> None:
    """Say so, once, if whoever reaches this machine may do anything."""
    if settings.access == "open" and not _is_loopback(address.parse(settings.grpc).host):
        _log.warning(
            "anybody who reaches this relay may consume, change and delete",
            grpc=settings.grpc,
            fix='make tokens with `hookline tokens create`, then set access = "tokens" in [relay]',
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
