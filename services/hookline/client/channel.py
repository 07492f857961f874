"""The channel to a relay, opened anew when the files of its TLS were renewed."""

import logging
from typing import TYPE_CHECKING

import grpc

from hookline.client.tls import Tls, UnusableFile
from hookline.v1.delivery_pb2_grpc import DeliveryServiceStub

if TYPE_CHECKING:
    from hookline.v1.delivery_pb2_grpc import DeliveryServiceAsyncStub

_log = logging.getLogger("hookline.client")

_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # the default waits two minutes for a relay that is long back
    ("grpc.max_receive_message_length", -1),  # the window bounds it, and a single event may be large
)


class Channel:
    """The channel to one relay; use inside the event loop that began with it.

    Args:
        target: The relay's address.
        security: Credentials of gRPC, or files; None connects in the clear.

    Raises:
        UnusableFile: A file can't be used.
    """

    def __init__(self, target: str, security: grpc.ChannelCredentials | Tls | None) -> None:
        self._target = target
        self._security = security
        self._stamps = security.stamps() if isinstance(security, Tls) else ()
        self._channel = self._open()

    def __repr__(self) -> str:
        return f"<Channel {self._target}>"

    async def stub(self) -> "DeliveryServiceAsyncStub":
        """What to call the relay with. Between two calls: renewed files end what is still open."""
        if isinstance(self._security, Tls) and (stamps := self._security.stamps()) != self._stamps:
            try:
                renewed = self._open()
            except UnusableFile as error:
                _log.warning("relay %s: %s; going on with what was read before", self._target, error)
            else:
                old, self._channel = self._channel, renewed
                await old.close()
            self._stamps = stamps
        return DeliveryServiceStub(self._channel)

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()

    def _open(self) -> grpc.aio.Channel:
        security = self._security
        if security is None:
            return grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        if not isinstance(security, Tls):
            return grpc.aio.secure_channel(self._target, security, options=_OPTIONS)
        options: list[tuple[str, int | str]] = [
            *_OPTIONS,
            # Else a new channel would share the connection, and the certificate, of the one that it replaces.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if security.server_name:
            options.append(("grpc.ssl_target_name_override", security.server_name))
        return grpc.aio.secure_channel(self._target, security.credentials(), options=options)
