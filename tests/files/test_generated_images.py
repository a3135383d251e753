"""Generated images: files behind signed URLs, never `data:` URLs in rows, frames or model input."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import Agent, GuardrailFunctionOutput, OutputGuardrail, Runner
from chatkit.agents import AgentContext as StockContext
from chatkit.agents import stream_agent_response as stock_stream
from chatkit.types import GeneratedImage, GeneratedImageItem, ThreadItemDoneEvent, ThreadStreamEvent

from chatkit_server import AgentContext, ChatServer
from chatkit_store import Blobs
from tests.files.test_messages import parts_of, whole_database
from tests.files.uploading import UploadClient, picture, sqlite_only
from tests.stage import Stage
from tests.support.openai_answers import Answer, Image, Text
from tests.turns.conftest import Start

FULL_IMAGE = picture("PNG", (64, 48))
PARTIAL_IMAGES = [picture("PNG", (8, 6)), picture("PNG", (16, 12))]
DRAWN = Answer(output=[Image(FULL_IMAGE, PARTIAL_IMAGES), Text("Here it is.")])


def images_in(events: list[Any]) -> list[str]:
    """Return the image URLs in the events, in order."""
    changes = [event.get("update") or event.get("item") or {} for event in events]
    return [change["image"]["url"] for change in changes if "image" in change]


async def test_an_image_streams_in_parts_and_is_stored_as_a_file(client: UploadClient) -> None:
    client.chat.upstream.script(DRAWN)
    reply = await client.send(text="Draw")
    urls = images_in(reply.events)
    assert len(set(urls)) == 3
    assert all(url.startswith(f"{client.chat.url}/api/attachments/atc_") for url in urls)
    assert reply.types.count("thread.item.added") == 2
    status, body, headers = await client.get(urls[-1])
    assert (status, body, headers["content-type"]) == (200, FULL_IMAGE, "image/png")
    assert headers["content-disposition"].startswith("inline")
    assert [row[1:] for row in await client.rows()] == [("image/png", len(FULL_IMAGE), "stored")]
    assert len(client.stored_files()) == 1

    reloaded = await client.tab.reload(reply.thread_id)
    assert reloaded.texts() == [("user", "Draw"), ("assistant", "Here it is.")]
    (item,) = reloaded.of_type("generated_image")
    assert (await client.get(item["image"]["url"]))[1] == FULL_IMAGE
    stored = await whole_database(client.chat)
    for encoded in ("data:", base64.b64encode(FULL_IMAGE).decode()[:40], "token="):
        assert encoded not in stored

    again = await client.send(text="Nice", thread_id=reply.thread_id)
    assert again.error is None
    request = str(client.chat.upstream.requests[-1].body)
    assert "[The assistant generated an image here, which the user can see.]" in request
    assert "data:" not in request
    assert base64.b64encode(FULL_IMAGE).decode()[:40] not in request


@sqlite_only
async def test_each_partial_image_can_be_downloaded_while_the_next_one_is_generated(client: UploadClient) -> None:
    client.chat.upstream.script(Answer(output=[Image(FULL_IMAGE, PARTIAL_IMAGES)], hang_after=1))
    params = {
        "input": {"content": [{"type": "input_text", "text": "Draw"}], "attachments": [], "inference_options": {}}
    }
    async with client.tab.open("threads.create", params) as reply:
        first = await reply.wait_for("generated_image.updated")
        assert (await client.get(first["update"]["image"]["url"]))[1] == PARTIAL_IMAGES[0]
        attach = {"thread_id": reply.thread_id, "action": {"type": "turn.attach", "payload": None}}
        async with client.chat.tab(cookies=client.tab.cookies) as second:
            async with second.open("threads.custom_action", attach) as again:
                added = await again.wait_for("thread.item.added")
                assert (await client.get(added["item"]["image"]["url"]))[1] == PARTIAL_IMAGES[0]
                assert (await second.reload(reply.thread_id)).of_type("generated_image")
                client.chat.upstream.release()
                await asyncio.gather(reply.read(), again.read())
        assert (await client.get(images_in(reply.events)[-1]))[1] == FULL_IMAGE
        assert (await client.get(images_in(reply.events)[0]))[1] == FULL_IMAGE


@sqlite_only
@pytest.mark.parametrize("place", ["disk", "s3"])
async def test_a_partial_image_can_be_downloaded_when_the_row_already_has_the_size_of_the_next(
    start: Start, service: dict[str, str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    chat = await start(**(service if place == "s3" else {}))
    async with UploadClient.of(chat) as client:
        written, is_waiting, may_continue = 0, asyncio.Event(), asyncio.Event()
        put = Blobs.put

        async def put_slowly(self: Blobs, key: str, content: Any) -> None:
            nonlocal written
            if written == len(PARTIAL_IMAGES):
                is_waiting.set()
                await may_continue.wait()
            await put(self, key, content)
            written += 1

        monkeypatch.setattr(Blobs, "put", put_slowly)
        chat.upstream.script(DRAWN)
        answer = asyncio.create_task(client.send(text="Draw"))
        async with asyncio.timeout(10):
            await is_waiting.wait()
        ((attachment_id, size),) = await chat.select("SELECT id, size FROM attachments")
        assert size == len(FULL_IMAGE)
        status, body, headers = await client.get(client.link(attachment_id))
        assert (status, body, headers["content-length"]) == (200, PARTIAL_IMAGES[-1], str(len(PARTIAL_IMAGES[-1])))
        may_continue.set()
        await answer
        assert (await client.get(client.link(attachment_id)))[1] == FULL_IMAGE


@sqlite_only
async def test_a_stopped_turn_keeps_the_last_partial_image(client: UploadClient) -> None:
    client.chat.upstream.script(Answer(output=[Image(FULL_IMAGE, PARTIAL_IMAGES)], hang_after=1))
    params = {
        "input": {"content": [{"type": "input_text", "text": "Draw"}], "attachments": [], "inference_options": {}}
    }
    async with client.tab.open("threads.create", params) as reply:
        await reply.wait_for("generated_image.updated")
        await client.chat.stop(client.tab, reply.headers["x-chatkit-turn-id"])
        await reply.read()
    (item,) = (await client.tab.reload(reply.thread_id)).of_type("generated_image")
    assert (await client.get(item["image"]["url"]))[1] == PARTIAL_IMAGES[0]
    assert "data:" not in await whole_database(client.chat)


@sqlite_only
async def test_an_image_that_a_guardrail_rejects_is_deleted(start: Start) -> None:
    async def check(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput("Not this one.", tripwire_triggered=True)

    agent = Agent[Any](name="test", output_guardrails=[OutputGuardrail(guardrail_function=check)])
    async with UploadClient.of(await start(agent)) as client:
        client.chat.upstream.script(DRAWN)
        reply = await client.send(text="Draw")
        assert reply.error is not None
        assert reply.picture.of_type("generated_image") == []
        urls = images_in(reply.events)
        assert len(urls) == 3
        assert {(await client.get(url))[0] for url in urls} == {404}
        assert (await client.rows(), client.stored_files()) == ([], [])


@sqlite_only
async def test_deleting_a_thread_deletes_its_images_only(client: UploadClient) -> None:
    client.chat.upstream.script(DRAWN, DRAWN)
    reply, other = await client.send(text="Draw"), await client.send(text="Draw")
    url = images_in(reply.events)[-1]
    other_url = images_in(other.events)[-1]
    await client.tab.post("threads.delete", {"thread_id": reply.thread_id})
    assert [(await client.get(link))[0] for link in (url, other_url)] == [404, 200]
    result = await client.chat.services.pruner.prune()
    assert (result.unsent, result.orphaned, result.size) == (0, 1, len(FULL_IMAGE))
    assert [(await client.get(link))[0] for link in (url, other_url)] == [404, 200]
    assert len(client.stored_files()) == 1


@sqlite_only
async def test_the_provider_gets_a_link_if_it_can_reach_the_server(start: Start) -> None:
    async with UploadClient.of(await start(public_url="https://chat.example.com")) as client:
        client.chat.upstream.script(DRAWN)
        reply = await client.send(text="Draw")
        await client.send(text="Make it blue", thread_id=reply.thread_id)
        (image,) = [part for part in parts_of(client.chat) if part["type"] == "input_image"]
        assert image["image_url"].startswith("https://chat.example.com/api/attachments/atc_")
        local = image["image_url"].replace("https://chat.example.com", client.chat.url)
        assert (await client.get(local))[1] == FULL_IMAGE


@sqlite_only
async def test_images_of_tools_and_of_the_sdks_own_conversion_are_stored_too(start: Start) -> None:
    url = f"data:image/png;base64,{base64.b64encode(FULL_IMAGE).decode()}"

    async def draw(context: AgentContext) -> str:
        item = GeneratedImageItem(
            id="any id",
            thread_id=context.thread.id,
            created_at=datetime.now(UTC),
            image=GeneratedImage(id="any", url=url),
        )
        await context.stream(ThreadItemDoneEvent(item=item))
        return "drawn"

    stage = Stage()
    stage.play_tool(draw)
    async with UploadClient.of(await start(stage.agent)) as client:
        reply = await client.send(text="Draw")
        assert (await client.get(images_in(reply.events)[-1]))[1] == FULL_IMAGE
        assert "data:" not in await whole_database(client.chat)
    async with UploadClient.of(await start(Agent(name="Painter"), StockServer)) as client:
        client.chat.upstream.script(DRAWN)
        reply = await client.send(text="Draw")
        assert (await client.get(images_in(reply.events)[-1]))[1] == FULL_IMAGE
        assert "data:" not in await whole_database(client.chat)


class StockServer(ChatServer):
    """A server like those in OpenAI's samples."""

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        agent = await self.agents.of(context).load(context)
        stock: Any = StockContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(agent, "Draw", context=stock, run_config=self.run_config)
        async for event in stock_stream(stock, result):
            yield event


@sqlite_only
async def test_an_invalid_image_is_reported_and_not_stored(client: UploadClient) -> None:
    client.chat.upstream.script(Answer(output=[Image(b"<svg onload='alert(1)'/>")]))
    reply = await client.send(text="Draw")
    assert "cannot be read" in reply.error["message"]
    assert (client.stored_files(), await client.rows()) == ([], [])
    assert (await client.send(text="And now?", thread_id=reply.thread_id)).error is None
