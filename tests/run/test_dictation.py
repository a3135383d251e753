"""Dictation through the real app and a real multipart request."""

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit_server import create_app
from chatkit_server.errors.setup import ModelSetupError
from chatkit_server.models.transcription import FILE_NAMES
from tests.serving import Tab, make_settings, serve
from tests.support.chatkit import Reply
from tests.support.openai_answers import INVALID_API_KEY, MODEL_NOT_FOUND, SERVER_ERROR, Failure
from tests.support.openai_recordings import Recording
from tests.support.openai_server import OpenAIServer

SPEECH = b"\x1a\x45\xdf\xa3 some opus"
KEY = "sk-of-the-model"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def settings(upstream: OpenAIServer, **more: Any) -> dict[str, Any]:
    """Return settings with one endpoint that answers and transcribes."""
    return {
        "model": "gpt-test",
        "base_url": upstream.base_url,
        "openai_api_key": KEY,
        "model_retries": 0,
        "transcription_model": "whisper-test",
        **more,
    }


async def dictate(tab: Tab, data: bytes = SPEECH, mime_type: str = "audio/webm;codecs=opus") -> Reply:
    """Send a recording as the widget does."""
    return await tab.post("input.transcribe", {"audio_base64": base64.b64encode(data).decode(), "mime_type": mime_type})


async def offered(tab: Tab) -> bool:
    async with tab.session.get(f"{tab.base_url}/api/chatkit/options") as response:
        return bool((await response.json())["features"]["dictation"])


@pytest.mark.parametrize(
    ("mime_type", "file_name"),
    [
        ("audio/webm;codecs=opus", "speech.webm"),
        ("audio/mp4", "speech.mp4"),
        ("audio/ogg;codecs=opus", "speech.ogg"),
        ("Audio/WebM", "speech.webm"),
    ],
)
async def test_a_recording_is_transcribed(
    tmp_path: Path, upstream: OpenAIServer, mime_type: str, file_name: str
) -> None:
    upstream.transcripts.append(" Hello from the microphone. ")
    async with serve(tmp_path, **settings(upstream)) as served, served.tab() as tab:
        assert await offered(tab)
        reply = await dictate(tab, mime_type=mime_type)
    assert (reply.status, reply.body) == (200, {"text": "Hello from the microphone."})
    assert upstream.recordings == [
        Recording(
            authorization=f"Bearer {KEY}",
            model="whisper-test",
            response_format="json",
            file_name=file_name,
            content_type=mime_type.lower().partition(";")[0],
            data=SPEECH,
        )
    ]


async def test_every_supported_type_is_accepted(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serve(tmp_path, **settings(upstream)) as served, served.tab() as tab:
        statuses = {mime_type: (await dictate(tab, mime_type=mime_type)).status for mime_type in FILE_NAMES}
    assert statuses == dict.fromkeys(FILE_NAMES, 200)


async def test_silence_returns_an_empty_text(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serve(tmp_path, **settings(upstream)) as served, served.tab() as tab:
        assert (await dictate(tab)).body == {"text": ""}


async def test_a_separate_endpoint_never_receives_the_key_of_the_model(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with OpenAIServer() as transcription:
        values = settings(upstream, transcription_base_url=transcription.base_url)
        async with serve(tmp_path, **values) as served, served.tab() as tab:
            assert (await dictate(tab)).status == 200
        async with serve(tmp_path, **values, transcription_api_key="sk-ears") as served, served.tab() as tab:
            assert (await dictate(tab)).status == 200
        assert [recording.authorization for recording in transcription.recordings] == [
            "Bearer no-key",
            "Bearer sk-ears",
        ]
    assert upstream.recordings == []


async def test_the_demo_can_transcribe_with_a_separate_endpoint(tmp_path: Path, upstream: OpenAIServer) -> None:
    more: dict[str, Any] = {"transcription_model": "w", "transcription_base_url": upstream.base_url}
    async with serve(tmp_path, **more) as served, served.tab() as tab:
        assert (await dictate(tab)).status == 200


async def test_without_a_transcription_model_dictation_is_not_offered(tmp_path: Path, upstream: OpenAIServer) -> None:
    async with serve(tmp_path, **settings(upstream, transcription_model=None)) as served, served.tab() as tab:
        assert not await offered(tab)
        reply = await dictate(tab)
        assert (reply.status, reply.body["code"]) == (501, "not_available")


async def test_recordings_have_their_own_size_limit(tmp_path: Path, upstream: OpenAIServer) -> None:
    limits = {"max_body_bytes": 10_000, "transcription_max_bytes": 30_000}
    async with serve(tmp_path, **settings(upstream, **limits)) as served, served.tab() as tab:
        assert (await dictate(tab, b"x" * 30_000)).status == 200
        reply = await dictate(tab, b"x" * 30_001)
        assert (reply.status, reply.body["code"]) == (413, "body_too_large")
        assert "too long" in reply.body["message"]
        assert (await dictate(tab, b"x" * 90_000)).status == 413
        message = await tab.create("x" * 20_000)
        assert message.types == ["error"]
        assert "10000 bytes" in message.events[0]["message"]
    assert len(upstream.recordings) == 1


@pytest.mark.parametrize(
    ("data", "mime_type", "message"),
    [
        (b"", "audio/webm", "is empty"),
        (SPEECH, "audio/midi", "audio/midi cannot"),
        (SPEECH, "text/html", "text/html cannot"),
    ],
)
async def test_an_invalid_recording_is_rejected_without_calling_the_endpoint(
    tmp_path: Path, upstream: OpenAIServer, data: bytes, mime_type: str, message: str
) -> None:
    async with serve(tmp_path, **settings(upstream)) as served, served.tab() as tab:
        reply = await dictate(tab, data, mime_type)
    assert (reply.status, reply.body["code"]) == (400, "invalid_audio")
    assert message in reply.body["message"]
    assert upstream.recordings == []


UNREADABLE = Failure(400, None, "The audio file could not be decoded: a secret of the user.", param="file")


@pytest.mark.parametrize(
    ("failure", "status", "code", "message"),
    [
        (UNREADABLE, 400, "invalid_audio", "could not be understood"),
        (INVALID_API_KEY, 502, "model_auth", "refused this server's key"),
        (MODEL_NOT_FOUND, 502, "model_not_found", "does not exist"),
        (SERVER_ERROR, 502, "model_unavailable", "retry in a moment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_of_the_endpoint_has_a_clear_message(
    tmp_path: Path,
    upstream: OpenAIServer,
    caplog: pytest.LogCaptureFixture,
    failure: Failure,
    status: int,
    code: str,
    message: str,
) -> None:
    upstream.transcripts.append(failure)
    with caplog.at_level(logging.DEBUG, "chatkit_server"):
        async with serve(tmp_path, **settings(upstream)) as served, served.tab() as tab:
            reply = await dictate(tab)
    assert (reply.status, reply.body["code"]) == (status, code)
    assert message in reply.body["message"]
    assert failure.message not in caplog.text
    assert (f"dictation failed with {code}" in caplog.text) == code.startswith("model_")
    assert "turn failed" not in caplog.text


async def test_an_unreachable_endpoint_has_a_clear_message(tmp_path: Path, upstream: OpenAIServer) -> None:
    unreachable = settings(upstream, transcription_base_url="http://127.0.0.1:9/v1")
    async with serve(tmp_path, **unreachable) as served, served.tab() as tab:
        reply = await dictate(tab)
    assert (reply.status, reply.body["code"]) == (502, "dictation_failed")
    assert "Please try again" in reply.body["message"]


async def test_an_endpoint_that_never_answers_times_out(tmp_path: Path) -> None:
    async with OpenAIServer() as silent:
        silent.pause_recordings()
        values = settings(silent, transcription_seconds=0.05)
        async with serve(tmp_path, **values) as served, served.tab() as tab:
            reply = await dictate(tab)
    assert (reply.status, reply.body["code"]) == (502, "dictation_failed")
    assert "took too long" in reply.body["message"]


def test_incomplete_settings_are_rejected(tmp_path: Path) -> None:
    for values, message in (({}, "needs an endpoint"), ({"transcription_base_url": "nowhere"}, "must be a full URL")):
        with pytest.raises(ModelSetupError, match=message):
            create_app(make_settings(tmp_path, transcription_model="w", **values))
