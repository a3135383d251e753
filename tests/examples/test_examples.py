"""The agents in `examples/`, unchanged, on the real app with a model that calls their tools."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatkit_server import create_app
from tests.serving import Served, Tab, make_settings
from tests.support.chatkit import Reply
from tests.support.live_server import live
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Json


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """The model's endpoint."""
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def served(request: pytest.FixtureRequest, tmp_path: Path, upstream: OpenAIServer) -> AsyncIterator[Served]:
    """The app with the example of the test."""
    settings = make_settings(
        tmp_path, model="gpt-test", base_url=upstream.base_url, api="responses", agent=request.param
    )
    app = create_app(settings)
    async with live(app) as url:
        yield Served(app, url)


async def ask(upstream: OpenAIServer, tab: Tab, tool: str, arguments: Json) -> Reply:
    """Send a first message that the model answers with a tool call."""
    upstream.script(Answer(tool_calls=[ToolCall(tool, arguments)]), Answer("Here you are."))
    reply = await tab.create("Please")
    assert reply.error is None
    return reply


def example(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("served", [f"examples.{name}:agent"], indirect=True)


async def same_after_reload(tab: Tab, reply: Reply) -> None:
    """Assert that a reload shows what was shown live."""
    thread_id = reply.thread_id
    assert (await tab.reload(thread_id)).items == tab.pictures[thread_id].items


@example("weather")
async def test_a_tool_shows_a_widget_from_a_file(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "show_weather", {"city": "Oslo"})
        (widget,) = tab.pictures[reply.thread_id].of_type("widget")
        assert [child["value"] for child in widget["widget"]["children"]] == ["Oslo", "4 °C", "Snow later"]
        assert reply.text == "Here you are."
        await same_after_reload(tab, reply)
        rows = await served.rows("SELECT text FROM thread_items WHERE type = 'widget'")
        assert rows == [{"text": "Oslo: 4 °C, Snow later"}]


@example("weather")
async def test_a_tool_writes_into_a_widget_live(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "write_report", {"city": "Oslo"})
        updates = [event["update"]["type"] for event in reply.of_type("thread.item.updated")]
        assert updates.count("widget.streaming_text.value_delta") >= 2
        (widget,) = tab.pictures[reply.thread_id].of_type("widget")
        assert widget["widget"]["children"][1]["value"] == "It is calm. The clouds come late. Take a coat."
        await same_after_reload(tab, reply)


@example("research")
async def test_a_tool_reports_its_progress(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "read_library", {"subject": "tea"})
        assert {"icon": "search", "text": "Looking for tea", "type": "progress_update"} in reply.events
        workflows = [item["workflow"] for item in tab.pictures[reply.thread_id].of_type("workflow")]
        (workflow,) = [workflow for workflow in workflows if workflow["summary"].get("title") == "Read two shelves"]
        assert [(task["title"], task["status_indicator"]) for task in workflow["tasks"]] == [
            ("Read the shelf History", "complete"),
            ("Read the shelf Science", "complete"),
        ]
        await same_after_reload(tab, reply)


@example("theme")
async def test_a_tool_changes_the_page(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "switch_theme", {"theme": "dark"})
        assert [(event["name"], event["data"]) for event in reply.of_type("client_effect")] == [
            ("switch_theme", {"theme": "dark"})
        ]
        await same_after_reload(tab, reply)


@example("orders")
async def test_the_model_reads_a_note_that_the_user_does_not_see(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "open_order", {"number": 17})
        assert "Friday" not in str(reply.events)
        await tab.send(reply.thread_id, "Until when may I return it?")
        assert "may be returned until Friday" in str(upstream.requests[-1].body["input"])
        await same_after_reload(tab, reply)


@example("seats")
async def test_a_click_replaces_the_widget_and_the_agent_comments(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        first = await ask(upstream, tab, "offer_seats", {})
        (widget,) = tab.pictures[first.thread_id].of_type("widget")
        upstream.script(Answer("A good choice."))
        reply = await tab.action(first.thread_id, "seat.choose", {"seat": "1B"}, widget["id"])
        assert reply.text == "A good choice."
        assert "The user has taken seat 1B." in str(upstream.requests[-1].body["input"])
        (ticket,) = tab.pictures[first.thread_id].of_type("widget")
        assert "Your seat is 1B" in str(ticket)
        await same_after_reload(tab, first)
        again = await tab.action(first.thread_id, "seat.choose", {"seat": "2A"}, widget["id"])
        assert again.types == ["error"]
        await tab.action(first.thread_id, "seat.return", None, widget["id"])
        (back,) = tab.pictures[first.thread_id].of_type("widget")
        assert back == widget | {"copy_text": "Seat 1B"}
        await same_after_reload(tab, first)


@example("page")
async def test_the_page_runs_a_tool(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        upstream.script(Answer(tool_calls=[ToolCall("read_page", {"section": "intro"})]), Answer("It is about cats."))
        first = await tab.create("What is it about?")
        (call,) = tab.pictures[first.thread_id].tool_calls
        assert (call["name"], call["arguments"]) == ("read_page", {"section": "intro"})
        reply = await tab.tool_output(first.thread_id, {"text": "Cats."})
        assert reply.text == "It is about cats."
        assert "Cats." in str(upstream.requests[-1].body["input"])
