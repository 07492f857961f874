"""What PostgreSQL keeps of a password, made here: so the password itself reaches neither the server nor its log."""

import secrets
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256
from hmac import digest

_ITERATIONS = 4096
"""As PostgreSQL has it by default."""
_SALT_BYTES = 16


def scram_verifier(password: str) -> str:
    """The SCRAM-SHA-256 verifier, as pg_authid.rolpassword has it (RFC 5803; psql does the same).

    Args:
        password: Printable ASCII: anything else would have to be normalised first (RFC 4013).

    Raises:
        ValueError: It has another character in it.
    """
    if not password or not password.isascii() or not password.isprintable():
        raise ValueError("must be printable ASCII")
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored_key = sha256(digest(salted, b"Client Key", "sha256")).digest()
    server_key = digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored}:{server}"
