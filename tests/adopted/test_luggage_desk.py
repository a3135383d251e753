"""A server in the manner of OpenAI's customer support, with files through a store of its own and dictation."""

import base64
from importlib import import_module, reload
from types import ModuleType

import pytest
from aiohttp import FormData

from tests.adopted.hosts import Host, check_reload
from tests.serving import Tab
from tests.support.chatkit import ChatKitClient, Json
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def desk() -> ModuleType:
    """Return the module as it is after an import: its server is an instance, which a host changes."""
    return reload(import_module("tests.adopted.servers.luggage_desk"))


async def upload(tab: ChatKitClient, name: str, mime_type: str, data: bytes) -> Json:
    """Upload a file in two phases, as the widget does, and return the attachment."""
    created = await tab.post("attachments.create", {"name": name, "size": len(data), "mime_type": mime_type})
    assert created.status == 200, created.body
    form = FormData()
    form.add_field("file", data, filename=name, content_type=mime_type)
    descriptor = created.body["upload_descriptor"]
    async with tab.session.request(descriptor["method"], descriptor["url"], data=form) as response:
        assert response.status == 200, await response.text()
    attachment: Json = created.body
    return attachment


async def test_its_tools_keep_what_they_know_of_a_thread(host: Host, desk: ModuleType, upstream: OpenAIServer) -> None:
    upstream.script(
        Answer(tool_calls=[ToolCall("report_bag", {"description": "a blue bag"})]),
        Answer("I reported it."),
        Answer("A blue one."),
    )
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        reply = await tab.create("My blue bag is lost")
        assert reply.text == "I reported it."
        assert (await tab.send(reply.thread_id, "Which bag?")).text == "A blue one."
        await check_reload(tab, reply.thread_id)
    assert upstream.requests[0].body["temperature"] == 0.3


async def test_a_picture_goes_through_its_own_store_and_routes(
    host: Host, desk: ModuleType, upstream: OpenAIServer
) -> None:
    upstream.script(Answer("A red suitcase."), Answer("It was red."))
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        picture = await upload(tab, "bag.png", "image/png", PNG)
        assert picture["id"].startswith("tag_atc_")
        note = await upload(tab, "note.txt", "text/plain", b"It has wheels.")
        reply = await tab.create("Is it mine?", attachments=[picture["id"], note["id"]])
        assert reply.error is None
        assert reply.text == "A red suitcase."
        sent = [attachment["name"] for attachment in reply.user_item["attachments"]]
        assert sent == ["bag.png", "note.txt"]
        await tab.send(reply.thread_id, "Which colour?")
        await check_reload(tab, reply.thread_id)
        async with tab.session.get(picture["preview_url"]) as response:
            assert await response.read() == PNG
    for request in upstream.requests:
        assert base64.b64encode(PNG).decode() in str(request.body)
        assert "The traveller sent the file note.txt." in str(request.body)


async def test_a_file_is_deleted_from_its_store(host: Host, desk: ModuleType) -> None:
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        picture = await upload(tab, "bag.png", "image/png", PNG)
        assert desk.luggage_server.files.read(picture["id"]) == PNG
        deleted = await tab.post("attachments.delete", {"attachment_id": picture["id"]})
        assert deleted.status == 200
        assert picture["id"] not in desk.luggage_server.files._files


async def test_it_transcribes_recordings(host: Host, desk: ModuleType, upstream: OpenAIServer) -> None:
    upstream.transcripts.append("where is my bag")
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        recording = {"audio_base64": base64.b64encode(b"sound").decode(), "mime_type": "audio/webm;codecs=opus"}
        reply = await tab.post("input.transcribe", recording)
        assert reply.body == {"text": "where is my bag"}
    assert upstream.recordings[0].model == "gpt-4o-mini-transcribe"


async def test_its_guardrail_takes_an_answer_back(host: Host, desk: ModuleType, upstream: OpenAIServer) -> None:
    upstream.script(Answer("Roses are red"), Answer("Gladly."))
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        reply = await tab.create("Write a poem")
        assert reply.error is None
        assert reply.picture.texts() == [("user", "Write a poem"), ("assistant", "Only luggage, please.")]
        assert (await tab.send(reply.thread_id, "Find my bag")).text == "Gladly."
        await check_reload(tab, reply.thread_id)


@pytest.mark.parametrize("host", ["ours"], indirect=True)
async def test_others_can_neither_send_nor_replace_a_file(host: Host, desk: ModuleType) -> None:
    """On chatkit's `process`, its files are everybody's."""
    async with host.serve(desk.luggage_server, router=desk.router) as alice, Tab(alice.base_url) as mallory:
        picture = await upload(alice, "bag.png", "image/png", PNG)
        stolen = await mallory.create("Mine!", attachments=[picture["id"]])
        assert stolen.error is not None
        url = picture["upload_descriptor"]["url"].partition("?")[0]
        for forged in (url, f"{url}?chatkit_token=forged"):
            form = FormData()
            form.add_field("file", b"something else", filename="bag.png")
            async with mallory.session.post(forged, data=form) as response:
                assert response.status == 404
        deleted = await mallory.post("attachments.delete", {"attachment_id": picture["id"]})
        assert deleted.status == 404
        assert desk.luggage_server.files.read(picture["id"]) == PNG


@pytest.mark.parametrize("host", ["ours"], indirect=True)
async def test_a_file_that_its_store_refuses_is_refused(host: Host, desk: ModuleType) -> None:
    """On chatkit's `process`, its app answers an `HTTPException`."""
    async with host.serve(desk.luggage_server, router=desk.router) as tab:
        large = {"name": "bag.png", "size": 65 * 1024, "mime_type": "image/png"}
        refused = await tab.post("attachments.create", large)
        assert refused.status == 413
        assert refused.body["message"] == "The desk takes files up to 64 KB."
