"""Which model answers for which settings, and the errors for invalid settings."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chatkit_server import Settings
from chatkit_server.errors.setup import ModelSetupError
from chatkit_server.models import Models, open_models

KEY = {"openai_api_key": "sk-secret"}
URL = {"base_url": "http://127.0.0.1:1/v1"}


def opened(**values: Any) -> Models:
    return open_models(Settings(**values))


@pytest.mark.parametrize(
    ("values", "provider", "name"),
    [
        ({"model": "demo"}, "demo", "demo"),
        ({"model": "demo", **KEY, **URL}, "demo", "demo"),
        ({**KEY}, "openai", "gpt-5.6-luna"),
        ({**KEY, "model": "gpt-4.1"}, "openai", "gpt-4.1"),
        ({**URL, "model": "qwen"}, "compatible", "qwen"),
        ({**URL, **KEY, "model": "qwen"}, "compatible", "qwen"),
        ({**KEY, "model": "gpt-4.1", "base_url": "https://api.openai.com/v1"}, "openai", "gpt-4.1"),
        ({**KEY, "base_url": "https://eu.api.openai.com/v1"}, "openai", "gpt-5.6-luna"),
        ({**KEY, "model": "m", "base_url": "https://eu-api.openai.com.example/v1"}, "compatible", "m"),
        ({**KEY, "model": "m", "base_url": "https://myapi.openai.com/v1"}, "compatible", "m"),
    ],
)
def test_the_settings_choose_the_model(values: dict[str, Any], provider: str, name: str) -> None:
    info = opened(**values).info
    assert (info.provider, info.name, info.tools) == (provider, name, True)


def test_without_settings_a_local_model_answers() -> None:
    assert opened().info.provider == ("embedded" if find_spec("xllamacpp") else "demo")


def test_the_notes_explain_what_kind_of_model_answers() -> None:
    assert "script" in (opened(model="demo").info.note or "")
    assert "OPENAI_API_KEY" in (opened(model="demo").info.note or "")
    assert opened(**KEY).info.note is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model": "gpt-4.1"}, "CHATKIT_MODEL=gpt-4.1 needs an endpoint: set OPENAI_API_KEY"),
        (
            {**URL},
            r"those of http://127.0.0.1:1/v1 \(CHATKIT_BASE_URL or OPENAI_BASE_URL\), so CHATKIT_MODEL must name",
        ),
        ({"base_url": "localhost:11434", "model": "qwen"}, "CHATKIT_BASE_URL=localhost:11434 must be a full URL"),
        ({"base_url": "me:secret@host/v1?secret", "model": "qwen"}, "CHATKIT_BASE_URL=host/v1 must be a full URL"),
        ({"base_url": "http://[::1/v1", "model": "qwen"}, "must be a full URL"),
        ({"base_url": "http://host:port/v1", "model": "qwen"}, "must be a full URL"),
        ({"base_url": "http://me:secret@host/v1", "model": "qwen"}, "a query and a fragment, such as http://host/v1;"),
        ({"base_url": "http://host/v1?key=secret", "model": "qwen"}, "a query and a fragment, such as http://host/v1;"),
        ({"base_url": "http://host/v1#secret", "model": "qwen"}, "a query and a fragment, such as http://host/v1;"),
        ({"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}, "needs a key: set OPENAI_API_KEY"),
    ],
)
def test_settings_that_cannot_work_say_what_to_change(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelSetupError, match=sentence) as refusal:
        opened(**values)
    assert "secret" not in str(refusal.value)


@pytest.fixture
def uploaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that the Agents SDK got for uploading traces."""
    keys: list[str] = []
    monkeypatch.setattr("chatkit_server.models.models.set_tracing_export_api_key", keys.append)
    return keys


@pytest.mark.parametrize("values", [{}, {"base_url": "https://api.openai.com/v1", "model": "gpt-test"}])
async def test_traces_are_uploaded_with_the_key_of_the_settings(uploaded: list[str], values: dict[str, Any]) -> None:
    await opened(openai_api_key="sk-1", tracing=True, **values).aclose()
    await opened(openai_api_key="sk-2", **values).aclose()
    assert uploaded == ["sk-1"]


@pytest.mark.parametrize(
    "values",
    [
        {"base_url": "http://127.0.0.1:9/v1", "model": "m", "openai_api_key": "the gateway's"},
        {"base_url": "https://api.openai.com.evil.example/v1", "model": "m", "openai_api_key": "the gateway's"},
        {"base_url": "https://eu.api.openai.com/v1", "openai_api_key": "sk-eu"},
        {"model": "demo", "openai_api_key": "sk-1"},
        {"model": "demo"},
    ],
)
def test_traces_are_refused_unless_openai_answers(uploaded: list[str], values: dict[str, Any]) -> None:
    with pytest.raises(ModelSetupError, match="CHATKIT_TRACING=true uploads traces to OpenAI"):
        opened(tracing=True, **values)
    assert uploaded == []


@pytest.mark.skipif(not find_spec("xllamacpp"), reason="the extra is not installed")
class TestEmbedded:
    def test_it_has_no_tools_and_a_warning(self, tmp_path: Path) -> None:
        file = tmp_path / "tiny.gguf"
        file.write_bytes(b"GGUF and so on")
        models = opened(model="embedded", embedded_model_path=file, embedded_context=1024)
        assert (models.info.name, models.info.tools) == ("tiny", False)
        assert "often wrong" in (models.info.note or "")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelSetupError, match="no.gguf cannot be read: No such file"):
            opened(model="embedded", embedded_model_path=tmp_path / "no.gguf")

    def test_a_file_that_is_not_gguf_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("hello", encoding="utf-8")
        with pytest.raises(ModelSetupError, match="is not a GGUF file"):
            opened(model="embedded", embedded_model_path=tmp_path / "a.txt")


def test_no_repr_contains_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    models = opened(**KEY)
    assert "sk-secret" not in f"{models!r} {models.provider!r} {vars(models.provider)!r} {models.info!r}"


async def test_closing_twice_does_no_harm() -> None:
    for values in ({"model": "demo"}, KEY):
        async with opened(**values) as models:
            await models.aclose()
