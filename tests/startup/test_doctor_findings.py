"""What `doctor` finds, in this process, at real services that are away, wrong or refuse."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit_server.app import build_services
from chatkit_server.settings import Settings
from chatkit_server.startup.doctor import Finding, examinable, examine
from chatkit_server.startup.own_endpoint import own_address
from tests.support.raw_endpoint import RawEndpoint, http


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which has no `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def findings(**values: Any) -> list[Finding]:
    settings = Settings(**{"model": "demo", "openai_api_key": None} | values)
    return [finding async for finding in examine(build_services(examinable(settings)), settings)]


async def faults(**values: Any) -> list[tuple[str, str, str]]:
    """Return mark, name and text of what is not ok."""
    return [(each.mark, each.name, each.text) for each in await findings(**values) if each.mark != "ok"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def web_server() -> AsyncIterator[str]:
    """The URL of a web server that has no such page."""
    async with RawEndpoint(lambda _: http(b"<html><h1>404 Not Found</h1></html>", "text/html", 404)) as endpoint:
        yield endpoint.base_url


async def test_a_web_page_at_the_url_of_the_model_is_not_a_missing_model(web_server: str) -> None:
    assert await faults(base_url=web_server, model="m") == [
        (
            "WRONG",
            "model",
            f"m (compatible) at {web_server}: model_endpoint (status_code=404). No model's endpoint is at this path: "
            "correct CHATKIT_BASE_URL; it mostly ends in /v1.",
        )
    ]


async def test_the_variable_that_has_the_url_is_the_one_to_correct(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    (folder / ".env").write_text("CHATKIT_BASE_URL=http://127.0.0.1:1/v1\n", encoding="utf-8")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    (fault,) = await faults(model="m", model_retries=0)
    assert fault[2] == (
        f"m (compatible) at {url}: model_unreachable (Connection refused). Make sure that it runs there and can be "
        "reached from here, or correct OPENAI_BASE_URL."
    )


async def test_an_endpoint_that_is_this_server_itself_is_named() -> None:
    port = free_port()
    (fault,) = await faults(model="m", base_url=f"http://localhost:{port}/v1", port=port, model_retries=0)
    assert fault[2].startswith(
        f"m (compatible) at http://localhost:{port}/v1: That is the address of this server itself (port {port}). "
        "Correct CHATKIT_BASE_URL"
    )


@pytest.mark.parametrize(
    ("base_url", "public_url", "is_own"),
    [
        ("https://chat.example/v1", "https://chat.example", True),
        ("https://chat.example:443/chat/v1", "https://chat.example/chat/", True),
        ("https://chat.example/llm/v1", "https://chat.example/chat", False),
        ("https://llm.example/v1", "https://chat.example", False),
        ("http://127.0.0.1:11434/v1", "https://chat.example", False),
        ("http://[::1]:8000/v1", None, True),
        ("http://10.0.0.1:8000/v1", None, False),
    ],
)
def test_addresses_of_this_server(base_url: str, public_url: str | None, is_own: bool) -> None:
    settings = Settings(base_url=base_url, model="m", public_url=public_url, port=8000)
    assert (own_address(settings) is not None) == is_own
    assert own_address(settings.model_copy(update={"model": "demo"})) is None
