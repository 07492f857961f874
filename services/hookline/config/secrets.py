"""`[secrets]`: the keys that seal what is stored and must not be read."""

from typing import TYPE_CHECKING

from hookline.config.secret_reference import KeyReference
from hookline.config.section import Section
from hookline.errors import ConfigError

if TYPE_CHECKING:
    from hookline.sealing import Sealer

_KEY = "secrets.keys"


class Secrets(Section):
    """`[secrets]`."""

    keys: tuple[KeyReference, ...] = ()
    """References to keys, each the base64 of 32 bytes: the first one seals, any of them opens. None: nothing can be
    sealed."""

    def sealer(self) -> "Sealer | None":
        """What seals with these keys; None if there are none.

        Raises:
            ConfigError: A key is missing, or is no key.
        """
        # A relay reads this configuration too, and seals nothing: OpenSSL would cost it 9 MB.
        from hookline.sealing import Sealer, decode_key  # noqa: PLC0415

        keys = []
        for reference in self.keys:
            try:
                keys.append(decode_key(reference.resolve(_KEY).decode()))
            except ValueError as error:
                raise ConfigError(f"{_KEY}: {reference}: {error}") from None
        return Sealer(keys) if keys else None
