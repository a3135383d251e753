"""Runs of an author's code: the server's models answer, a stop ends them, their tokens count."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner
from agents.testing import ModelStep, ScriptedModel, assistant_message
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata, ThreadStreamEvent

from tests.adopted.play_server import PlayServer, Scene
from tests.adopted.play_server import message as said
from tests.serving import serve
from tests.support.openai_answers import Answer
from tests.support.openai_server import OpenAIServer


def run(agent: Agent[Any]) -> Scene:
    """Return a scene that runs an agent as chatkit's samples do."""

    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        items = await server.store.load_thread_items(thread.id, None, 20, "asc", context)
        agent_context: AgentContext[Any] = AgentContext(thread=thread, store=server.store, request_context=context)
        result = Runner.run_streamed(agent, await simple_to_agent_input(items.data), context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event

    return scene


async def ask(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    result = await Runner.run(Agent(name="Asked"), "markdown")
    text = result.final_output_as(str)
    yield ThreadItemDoneEvent(item=said(thread, f"It said: {text}", "asked"))


async def test_the_models_of_the_settings_answer(tmp_path: Path) -> None:
    async with serve(tmp_path, server=PlayServer(run(Agent(name="Plain")), ask)) as served, served.tab() as tab:
        reply = await tab.create("hello")
        assert (reply.error, reply.text != "") == (None, True)
        again = await tab.send(reply.thread_id, "hello")
        assert again.text.startswith("It said: #")
        assert again.error is None
        (first, second) = await served.rows("SELECT model, input_tokens FROM turns ORDER BY started_at")
        assert first["model"] == "demo"
        assert first["input_tokens"] > 0


async def test_the_turn_names_the_model_of_the_agent_that_answered(tmp_path: Path) -> None:
    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        await Runner.run(Agent(name="Titles", model="small"), "a title")
        async for event in run(Agent(name="Answering", model="large"))(server, thread, context):
            yield event

    async with OpenAIServer() as upstream:
        upstream.script(Answer("A long title of a short answer"), Answer("Yes."))
        endpoint: dict[str, Any] = {"model": "of the settings", "base_url": upstream.base_url, "api": "responses"}
        async with serve(tmp_path, server=PlayServer(scene), **endpoint) as served, served.tab() as tab:
            assert (await tab.create("hello")).error is None
            assert await served.rows("SELECT model FROM turns") == [{"model": "large"}]


async def test_a_stop_ends_the_model_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def never(call: Any) -> Any:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = Agent[Any](name="Slow", model=ScriptedModel([ModelStep.respond(never), [assistant_message("Back.")]]))
    async with serve(tmp_path, server=PlayServer(run(agent), run(agent))) as served, served.tab() as tab:
        content = [{"type": "input_text", "text": "hello"}]
        message = {"content": content, "attachments": [], "quoted_text": "", "inference_options": {}}
        async with tab.open("threads.create", {"input": message}) as reply:
            await asyncio.wait_for(asked.wait(), 30)
            turn_id = reply.headers["x-chatkit-turn-id"]
            async with tab.session.post(f"{served.url}/api/turns/{turn_id}/stop", json={}) as response:
                assert response.status == 200
            await reply.read()
        await asyncio.wait_for(ended.wait(), 30)
        assert (await tab.send(reply.thread_id, "go on")).text == "Back."
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_silent_model_ends_the_turn(tmp_path: Path) -> None:
    async def never(call: Any) -> Any:
        await asyncio.Event().wait()

    agent = Agent[Any](name="Silent", model=ScriptedModel([ModelStep.respond(never), [assistant_message("Back.")]]))
    async with (
        serve(tmp_path, server=PlayServer(run(agent), run(agent)), first_event_seconds=0.2) as served,
        served.tab() as tab,
    ):
        reply = await tab.create("hello")
        assert reply.error is not None
        assert reply.error["message"].startswith("The model did not answer in time.")
        assert reply.error["allow_retry"]
        assert (await tab.retry(reply.thread_id, reply.user_item["id"])).text == "Back."


async def test_code_that_cancels_its_own_run_reads_on(tmp_path: Path) -> None:
    async def scene(server: PlayServer, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        result = Runner.run_streamed(Agent(name="Long"), "markdown")
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                result.cancel()
        yield ThreadItemDoneEvent(item=said(thread, "I stopped it myself.", "stopped"))

    async with serve(tmp_path, server=PlayServer(scene)) as served, served.tab() as tab:
        assert (await tab.create("hello")).text == "I stopped it myself."
