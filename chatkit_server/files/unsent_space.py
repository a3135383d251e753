"""Limit the bytes of files that all users together have uploaded without sending them."""

import asyncio
import time

from chatkit_store import UploadStore

from ..errors.http import TooManyRequests

COUNTED_SECONDS = 30.0
"""How long a count of the database is used; what this worker adds in the meantime is counted here."""


class UnsentSpace:
    """The space for unsent files, as this worker knows it."""

    def __init__(self, uploads: UploadStore, limit: int) -> None:
        self._uploads = uploads
        self._limit = limit
        self._used = 0
        self._counted: float | None = None
        self._counting = asyncio.Lock()

    async def take(self, size: int) -> None:
        """Count a file that is about to be stored. Raises `TooManyRequests` if too little space is left."""
        async with self._counting:
            now = time.monotonic()
            if self._counted is None or now - self._counted > COUNTED_SECONDS:
                self._used = await self._uploads.unsent_bytes()
                self._counted = now
            if self._used + size > self._limit:
                raise TooManyRequests(
                    "The server's space for files that were not sent yet is full. Please send your message without a "
                    "file, or try again later."
                )
            self._used += size
