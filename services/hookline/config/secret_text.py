"""The text of a secret, as it comes from a file, a variable or somebody's hands."""

LONGEST = 64 * 1024
"""Bytes. No provider's key is a tenth as long; a wrong file often is."""


def clean(read: bytes) -> bytes:
    """The secret alone: line ends behind it and a byte order mark before it belong to the editor.

    Raises:
        ValueError: It is empty or blank, too long, or no text. The message repeats nothing of it.
    """
    if len(read) > LONGEST:
        raise ValueError(f"is longer than {LONGEST // 1024} KiB, so it isn't a secret")
    try:
        text = read.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("isn't UTF-8 text") from None
    secret = text.rstrip("\r\n").encode()
    if not secret.strip():
        raise ValueError("is empty")
    return secret
