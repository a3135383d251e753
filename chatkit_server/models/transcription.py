"""Convert speech to text through an endpoint with OpenAI's `audio/transcriptions` API."""

import asyncio
from typing import Any

import openai

from ..errors.setup import ModelSetupError
from ..settings import Settings
from .client.openai_client import make_client
from .endpoint_url import check_url

FILE_NAMES = {
    "audio/webm": "speech.webm",
    "video/webm": "speech.webm",
    "audio/mp4": "speech.mp4",
    "audio/x-m4a": "speech.m4a",
    "audio/m4a": "speech.m4a",
    "audio/ogg": "speech.ogg",
    "audio/mpeg": "speech.mp3",
    "audio/mp3": "speech.mp3",
    "audio/wav": "speech.wav",
    "audio/x-wav": "speech.wav",
    "audio/flac": "speech.flac",
}
"""Endpoints detect the format by file name. The widget records the first of webm, mp4 and ogg its browser supports."""


class Transcriber:
    """Transcribes with one model of one endpoint."""

    def __init__(self, client: openai.AsyncOpenAI, *, model: str, seconds: float) -> None:
        self._client = client
        self._model = model
        self._seconds = seconds

    async def transcribe(self, audio: bytes, media_type: str) -> str:
        """Return the text of a recording, empty if there is no speech. `media_type` is one of `FILE_NAMES`.

        Raises `openai.OpenAIError`, or `TimeoutError` after CHATKIT_TRANSCRIPTION_SECONDS.
        """
        async with asyncio.timeout(self._seconds):
            response: Any = await self._client.audio.transcriptions.create(
                model=self._model, file=(FILE_NAMES[media_type], audio, media_type), response_format="json"
            )
        return str(response.text).strip()

    async def aclose(self) -> None:
        """Close the HTTP client."""
        await self._client.close()


def open_transcriber(settings: Settings, model_url: str | None) -> Transcriber | None:
    """Return the transcriber that the settings configure, or None.

    Without CHATKIT_TRANSCRIPTION_BASE_URL, use the chat model's endpoint `model_url` and its key. That key is never
    sent to another endpoint. Raises `ModelSetupError`.
    """
    if settings.transcription_model is None:
        return None
    base_url = settings.transcription_base_url or model_url
    if base_url is None:
        raise ModelSetupError(
            "CHATKIT_TRANSCRIPTION_MODEL needs an endpoint: set CHATKIT_TRANSCRIPTION_BASE_URL, or OPENAI_API_KEY or "
            "CHATKIT_BASE_URL for an endpoint that also transcribes."
        )
    if settings.transcription_base_url is not None:
        check_url("transcription_base_url", base_url)
    key = settings.transcription_api_key or (
        settings.openai_api_key if settings.transcription_base_url is None else None
    )
    client = make_client(
        base_url=base_url,
        api_key=key.get_secret_value() if key else "no-key",  # the client requires a key
        timeout=settings.transcription_seconds,
        max_retries=settings.model_retries,
    )
    return Transcriber(client, model=settings.transcription_model, seconds=settings.transcription_seconds)
