"""The certificate of one listener, as its files say now."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

import structlog

from hookline.errors import ConfigError
from hookline.telemetry import instruments
from hookline.telemetry.instruments import Instrument
from hookline.telemetry.metrics import Metrics, Reading
from hookline.tls.pair import PairFiles, Stamps

_log = structlog.get_logger(__name__)

_EVERY = 1.0
"""Seconds between two looks at the files."""


class Certificates:
    """What new connections are shown. Connections that there are keep what they were shown.

    Args:
        files: Where it is.
        listener: Who shows it.
        metrics: Where one can see when it expires.

    Raises:
        ConfigError: It can't be used as it is now.
    """

    def __init__(self, files: PairFiles, listener: Literal["grpc", "http"], metrics: Metrics) -> None:
        self._files = files
        self._listener = listener
        self._metrics = metrics
        self._seen = files.stamps()
        self.pair = files.read(datetime.now(UTC))
        """What is shown now. May be read by any thread."""
        self.trouble = ""
        """Why the files can't be used as they are now; "" if they are what is shown."""
        self._doubtful: Stamps | None = None
        """Files that could not be used at the last look: perhaps only some of them were written by then."""

    def __repr__(self) -> str:
        return f"<Certificates of {self._listener} until {self.pair.expires_at:%Y-%m-%d}>"

    async def run(self) -> None:
        """Read the files again when they change, until cancelled."""
        readings: dict[Instrument, Reading] = {
            instruments.CERTIFICATE_EXPIRY: lambda: [((self._listener,), self._remaining())],
            instruments.CERTIFICATE_REFUSED: lambda: [((self._listener,), 1 if self.trouble else 0)],
        }
        with self._metrics.watching(readings):
            while True:
                await asyncio.sleep(_EVERY)
                # In a thread: the files may be on a file system that doesn't answer.
                await asyncio.to_thread(self._look)

    def _look(self) -> None:
        stamps = self._files.stamps()
        if stamps == self._seen and not self.trouble:
            return
        try:
            pair = self._files.read(datetime.now(UTC))
        except ConfigError as error:
            if stamps in (self._seen, self._doubtful):
                self._refuse(stamps, str(error))
            self._doubtful = stamps
            return
        self.pair = pair
        self._seen, self._doubtful, self.trouble = stamps, None, ""
        _log.info("certificate renewed", listener=self._listener, expires=pair.expires_at.isoformat())

    def _refuse(self, stamps: Stamps, reason: str) -> None:
        if (stamps, reason) == (self._seen, self.trouble):
            return  # that was said
        self._seen, self.trouble = stamps, reason
        _log.error(
            "certificate can't be renewed; the one before is shown", listener=self._listener, reason=reason
        )

    def _remaining(self) -> float:
        return (self.pair.expires_at - datetime.now(UTC)).total_seconds()
