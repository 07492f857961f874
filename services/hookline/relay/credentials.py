"""What a relay's gRPC server shows to who connects."""

import grpc

from hookline.tls.certificates import Certificates
from hookline.tls.pair import Pair


def credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Credentials that follow the files: gRPC asks for news whenever somebody connects.

    With authorities for clients, who shows no certificate of theirs gets no connection.
    """
    given = certificates.pair

    def news() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        pair = certificates.pair
        if pair is given:
            return None
        given = pair
        return _configuration(pair)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        news,  # type: ignore[arg-type] # None means that there is no news
        require_client_authentication=given.client_ca is not None,
    )


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    """A new one each time: it becomes gRPC's own."""
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.certificate)], root_certificates=pair.client_ca
    )
