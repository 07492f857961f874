"""The connection to a consumer that is called: TLS, whether it is up, and how the consumer says that it feels."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hookline.core.subscription import Push, PushTls
from hookline.errors import ConfigError
from hookline.tls.files import naming
from hookline.v1.consumer_pb2_grpc import ConsumerServiceStub

if TYPE_CHECKING:
    from hookline.v1.consumer_pb2_grpc import ConsumerServiceAsyncStub

_CONNECT_WITHIN = 2.0
"""Seconds for a connection to come up, handshakes included."""
_CHECK_WITHIN = 2.0
"""Seconds for the answer to a health check."""
_SILENT_ON_HEALTH = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND})
"""The consumer answers, and has nothing to say about its health as a whole."""
_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The circuit says how often a consumer that is gone is tried; the channel shall not be slower than that.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Else a new channel would share the connection, and the waiting times, of the one that it replaces.
    ("grpc.use_local_subchannel_pool", 1),
)


class NotConnected(Exception):
    """There is no connection over which the consumer can be called; nothing was handed over. The message says why."""


class NotServing(Exception):
    """The consumer says of itself that it isn't well. The message says how."""


class PushChannel:
    """One connection to one consumer. Reads the files that its TLS settings name when it is made.

    Raises:
        NotConnected: A file can't be used.
    """

    def __init__(self, push: Push) -> None:
        self._target = push.target
        if push.tls is None:
            self._channel = grpc.aio.insecure_channel(push.target, options=_OPTIONS)
        else:
            name = push.tls.server_name
            options = (*_OPTIONS, ("grpc.ssl_target_name_override", name)) if name else _OPTIONS
            self._channel = grpc.aio.secure_channel(push.target, _credentials(push.tls), options=options)
        self.consumer: ConsumerServiceAsyncStub = ConsumerServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)  # its types don't know its methods

    def __repr__(self) -> str:
        return f"<PushChannel {self._target} {self._channel.get_state().name}>"

    async def connected(self) -> None:
        """Wait for the connection.

        Raises:
            NotConnected: It didn't come up in time.
        """
        if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                await self._channel.channel_ready()
        except TimeoutError:
            raise NotConnected(f"{self._target} can't be reached: {await self._why_not()}") from None

    async def healthy(self) -> None:
        """Connect, and ask the consumer how it is (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).

        A consumer that doesn't know the question is well if it says so.

        Raises:
            NotConnected: It can't be reached.
            NotServing: It isn't well, or doesn't answer.
        """
        await self.connected()
        try:
            answer = await self._check()
        except grpc.aio.AioRpcError as error:
            if error.code() in _SILENT_ON_HEALTH:
                return
            raise NotServing(f"{self._target} answers {error.code().name} to a health check") from None
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            raise NotServing(f"{self._target} says that its health is {status}")

    async def close(self) -> None:
        """Disconnect. Ends calls that are under way as if their callers had cancelled them."""
        await self._channel.close()

    async def _check(self) -> health_pb2.HealthCheckResponse:
        answer: health_pb2.HealthCheckResponse = await self._health.Check(
            health_pb2.HealthCheckRequest(), timeout=_CHECK_WITHIN
        )
        return answer

    async def _why_not(self) -> str:
        """What gRPC knows about the failed connection: only a call that fails of it learns that."""
        try:
            await self._check()
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
        return f"it took longer than {_CONNECT_WITHIN:g} s to connect"


def _credentials(tls: PushTls) -> grpc.ChannelCredentials:
    if bool(tls.certificate_file) != bool(tls.key_file):
        raise NotConnected(
            "push.tls has a certificate_file or a key_file and not the other: set both, or none"
        )
    authorities = tls.ca_file or ssl.get_default_verify_paths().cafile or ""
    with _naming("ca_file", authorities):
        # Checked here: gRPC ends the process when it is given what it can't use.
        context = ssl.create_default_context(cafile=authorities or None)
        root_certificates = Path(authorities).read_bytes() if authorities else None  # None: gRPC's own
    if not tls.certificate_file:
        return grpc.ssl_channel_credentials(root_certificates)
    with _naming("key_file", tls.key_file):
        private_key = Path(tls.key_file).read_bytes()
    with _naming("certificate_file", tls.certificate_file):
        certificate_chain = Path(tls.certificate_file).read_bytes()
        context.load_cert_chain(tls.certificate_file, tls.key_file, password="")
    return grpc.ssl_channel_credentials(root_certificates, private_key, certificate_chain)


@contextmanager
def _naming(setting: str, path: str) -> Iterator[None]:
    """Say which file it is that can't be used."""
    try:
        with naming(f"push.tls.{setting}", path):
            yield
    except ConfigError as error:
        raise NotConnected(str(error)) from None
