"""What `doctor` says of an adopted server, and the log at the start."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent
from chatkit.store import AttachmentStore

from chatkit_server.app import build_services
from chatkit_server.startup.doctor.examination import examine
from chatkit_server.startup.doctor.finding import Finding
from tests.adopted.servers.gazette import GazetteServer
from tests.adopted.servers.letter_box import LetterBoxServer
from tests.adopted.servers.memory_store import MemoryStore
from tests.serving import make_settings, serve
from tests.support.openai_server import OpenAIServer

SERVERS = "tests.adopted.servers"


@pytest.fixture
async def model() -> AsyncIterator[dict[str, str]]:
    async with OpenAIServer(models=["gpt-4.1-mini", "gpt-5-nano"]) as upstream:
        yield {"model": "gpt-4.1-mini", "base_url": upstream.base_url, "api": "responses"}


async def doctor(folder: Path, **settings: str) -> list[Finding]:
    written = make_settings(folder, **settings)
    return [finding async for finding in examine(build_services(written), written)]


def of_server(findings: list[Finding]) -> list[str]:
    assert not [finding for finding in findings if finding.mark == "WRONG"]
    return [finding.text for finding in findings if finding.name == "server"]


async def test_it_says_what_the_class_does_itself(tmp_path: Path, model: dict[str, str]) -> None:
    context = {"server_context": f"{SERVERS}.gazette:make_context"}
    findings = await doctor(tmp_path, server=f"{SERVERS}.gazette:GazetteServer", **context, **model)
    assert of_server(findings) == [
        f"{SERVERS}.gazette.GazetteServer; it has respond, action, add_feedback",
        "its store MemoryStore reads and writes this server's database",
        "it has no attachment store, so users cannot send files",
        "its context is what make_context makes of the request",
        "its agents: Puzzle keeper (gpt-4.1-mini), Headlines (gpt-5-nano), Reader desk (gpt-4.1-mini)",
    ]
    models = [finding.text for finding in findings if finding.name == "model"]
    assert len(models) == 2
    assert all(text.endswith("answers") for text in models)


async def test_it_says_who_takes_the_files(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{SERVERS}.luggage_desk:luggage_server")
    assert "its LocalAttachmentStore takes the files; the routes for their bytes are its own" in of_server(findings)
    off = await doctor(tmp_path, server=f"{SERVERS}.luggage_desk:luggage_server", attachments="false")
    assert "its LocalAttachmentStore is not used: CHATKIT_ATTACHMENTS is off" in of_server(off)


class UploadsOnly(AttachmentStore[Any]):
    """Files come by a route of its server's own app."""

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        """Delete nothing."""


class DirectServer(LetterBoxServer):
    """A server whose page uploads directly."""

    def __init__(self) -> None:
        super().__init__()
        self.attachment_store = UploadsOnly()


async def test_files_without_creation_are_not_offered(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{__name__}:DirectServer")
    text = "its UploadsOnly has no create_attachment: files can only be uploaded to routes of its own"
    assert Finding("server", text, "WARN") in findings
    async with serve(tmp_path, server=DirectServer, attachments=True) as served, served.tab() as tab:
        async with tab.session.get(f"{served.url}/api/chatkit/options") as response:
            assert "attachments" not in await response.json()


class SwitchingServer(LetterBoxServer):
    """A server that has its agents in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.agents = {"short": Agent(name="Short", model="small"), "long": Agent(name="Long")}


async def test_agents_in_a_dict_are_found(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{__name__}:SwitchingServer")
    text = "its agents: Short (small), Long (the model of the settings)"
    assert Finding("server", text) in findings


async def test_a_server_without_agents(tmp_path: Path) -> None:
    texts = of_server(await doctor(tmp_path, server=f"{SERVERS}.letter_box:LetterBoxServer"))
    assert texts[0].endswith("it has respond, get_stream_options, handle_stream_cancelled")
    assert not [text for text in texts if "agents" in text]


class ProcessingServer(LetterBoxServer):
    """A server that does more in `process`."""

    async def process(self, request: str | bytes | bytearray, context: Any) -> Any:
        return await super().process(request, context)


async def test_it_names_what_is_never_called(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{__name__}:ProcessingServer")
    assert Finding("server", "its process is not called: this server does that work", "WARN") in findings


class CountingStore(MemoryStore):
    """A store that does more than chatkit asks for."""

    def count(self) -> int:
        return len(self._entries)


class CountingServer(LetterBoxServer):
    """A server with such a store."""

    def __init__(self) -> None:
        super().__init__()
        self.store = CountingStore()


async def test_it_warns_of_methods_that_read_the_fields_of_the_store(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{__name__}:CountingServer")
    text = "CountingStore has methods of its own (count): what they keep in its fields is not in the database"
    assert Finding("server", text, "WARN") in findings


class FilledServer(LetterBoxServer):
    """A server that begins with letters in its store."""

    def __init__(self) -> None:
        super().__init__()
        store = MemoryStore()
        store._items("thr_of_the_sample")
        self.store = store


async def test_it_warns_of_what_the_store_held(tmp_path: Path) -> None:
    findings = await doctor(tmp_path, server=f"{__name__}:FilledServer")
    (warning,) = (finding for finding in findings if finding.name == "server" and finding.mark == "WARN")
    assert warning.text == "what MemoryStore held before stays in memory, unseen: _entries (1 object)"


async def test_the_log_names_the_models_of_its_agents(
    tmp_path: Path, model: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {**model}
    with caplog.at_level(logging.INFO, "chatkit_server"):
        async with serve(tmp_path, server=GazetteServer, **settings):
            pass
    assert "answers come from gpt-4.1-mini or gpt-5-nano (compatible)" in caplog.text
