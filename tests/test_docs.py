"""The code in README.md and docs/agents.md: every Python block is saved as its first line says, and run."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit_server import create_app
from tests.serving import Served, Tab, make_settings
from tests.support.chatkit import Reply
from tests.support.live_server import live
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Json

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: str) -> list[str]:
    """The Python blocks of a document."""
    return BLOCK.findall((ROOT / path).read_text(encoding="utf-8"))


def named(path: str) -> dict[str, str]:
    """The modules that a document shows, by their names; two blocks of one name are one module."""
    modules: dict[str, str] = {}
    for block in blocks(path):
        name = re.match(r"# (\w+)\.py\n", block)
        if name is not None:
            modules[name[1]] = modules.get(name[1], "") + block
    return modules


GUIDE = named("docs/agents.md")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The working directory with the guide's modules in it, forgotten afterwards."""
    for name, code in GUIDE.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in GUIDE:
        sys.modules.pop(name, None)


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """The model's endpoint."""
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def served(request: pytest.FixtureRequest, folder: Path, upstream: OpenAIServer) -> AsyncIterator[Served]:
    """The app with the agent of the module that the test names."""
    settings: Json = {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses", "show_tools": True}
    app = create_app(make_settings(folder, agent=f"{request.param}:agent", **settings))
    async with live(app) as url:
        yield Served(app, url)


def module(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("served", [name], indirect=True)


async def ask(upstream: OpenAIServer, tab: Tab, tool: str, **arguments: Any) -> Reply:
    """A first message to which the model answers by calling a tool."""
    upstream.script(Answer(tool_calls=[ToolCall(tool, arguments)]), Answer("Done."))
    reply = await tab.create("Please")
    assert reply.error is None
    assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
    return reply


@pytest.mark.parametrize("code", blocks("README.md") + blocks("docs/agents.md"))
def test_every_block_runs_by_itself(code: str) -> None:
    exec(compile(code, "block", "exec"), {"__name__": "block"})


def test_the_guide_has_no_module_without_a_test() -> None:
    assert set(GUIDE) == {"clock", "orders", "baker", "poll", "reader", "shop", "clerk"}
    assert len(blocks("docs/agents.md")) == len(GUIDE)


EXAMPLE = re.compile(r"^\| `(examples\.\w+):agent` \| `(call (\w+) .*?)` \|", re.MULTILINE)
EXAMPLES = EXAMPLE.findall((ROOT / "docs/agents.md").read_text(encoding="utf-8"))
CALL = re.compile(r"^`?(call (\w+) \{.*?\})`?\.?$", re.MULTILINE)
CALLS = CALL.findall((ROOT / "docs/agents.md").read_text(encoding="utf-8"))


def test_every_example_has_a_message_to_write() -> None:
    there = {f"examples.{path.stem}" for path in (ROOT / "examples").glob("[!_]*.py")}
    assert {module for module, _, _ in EXAMPLES} == there
    assert {tool for _, tool in CALLS} == {"read_selection", "ask_user"}


@pytest.mark.parametrize(
    ("agent", "message", "tool"),
    [*EXAMPLES, *((f"{'shop' if tool == 'ask_user' else 'reader'}", message, tool) for message, tool in CALLS)],
)
async def test_the_demo_model_makes_the_call_that_the_guide_shows(
    folder: Path, agent: str, message: str, tool: str
) -> None:
    app = create_app(make_settings(folder, agent=f"{agent}:agent", show_tools=True))
    async with live(app) as url, Served(app, url).tab() as tab:
        reply = await tab.create(message)
        picture = tab.pictures[reply.thread_id]
        is_open = picture.tool_calls or picture.of_type("structured_input")
        assert reply.error is None
        assert is_open or f"The tool `{tool}` answered: " in reply.text
        assert "Error" not in reply.text


async def test_the_default_agents_form_comes_as_the_readme_says(folder: Path) -> None:
    assert "`call ask_preferences`" in (ROOT / "README.md").read_text(encoding="utf-8")
    app = create_app(make_settings(folder))
    async with live(app) as url, Served(app, url).tab() as tab:
        reply = await tab.create("call ask_preferences")
        assert len(tab.pictures[reply.thread_id].of_type("widget")) == 1


@module("clock")
async def test_an_agent(served: Served) -> None:
    async with served.tab() as tab:
        assert (await tab.create("Hello")).text == "Hello from the fake model."


@module("orders")
async def test_tools_that_show(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "order_status", number="17")
        (block,) = tab.pictures[reply.thread_id].of_type("workflow")
        assert [(task["title"], task["icon"]) for task in block["workflow"]["tasks"]] == [
            ("Looking up order 17", "search")
        ]


@module("baker")
async def test_progress(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "bake", cake="an apple pie")
        assert [event["text"] for event in reply.of_type("progress_update")] == ["Heating the oven for an apple pie"]
        (block,) = tab.pictures[reply.thread_id].of_type("workflow")
        assert [task["title"] for task in block["workflow"]["tasks"]] == ["Mix", "Bake"]
        assert block["workflow"]["summary"]["title"] == "Baked an apple pie"


@module("poll")
async def test_widgets_and_actions(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "ask_for_vote")
        (form,) = tab.pictures[reply.thread_id].of_type("widget")
        voted = await tab.action(reply.thread_id, "poll.vote", {"stars": "3", "reason": "nice"}, form["id"])
        assert voted.error is None
        (thanks,) = (await tab.reload(reply.thread_id)).of_type("widget")
        assert thanks["widget"]["children"] == [{"type": "Text", "value": "Thank you for 3 stars."}]


@module("reader")
async def test_tools_that_run_in_the_page(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "read_selection", as_markdown=False)
        assert [call["name"] for call in tab.pictures[reply.thread_id].tool_calls] == ["read_selection"]
        assert (await tab.tool_output(reply.thread_id, {"text": "cat"})).text == "Done."


@module("shop")
async def test_questions(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        question = {"question": "Which size?", "options": ["S", "L"], "multiple": False}
        reply = await ask(upstream, tab, "ask_user", questions=[question])
        (asked,) = tab.pictures[reply.thread_id].of_type("structured_input")
        params = {"thread_id": reply.thread_id, "item_id": asked["id"], "input": {"answers": {"q1": {"values": ["L"]}}}}
        assert (await tab.post("threads.add_structured_input", params)).text == "Done."


@module("clerk")
async def test_approvals(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        reply = await ask(upstream, tab, "delete_order", number=17)
        (card,) = tab.pictures[reply.thread_id].of_type("widget")
        (row,) = [child for child in card["widget"]["children"] if child["type"] == "Row"]
        action = row["children"][0]["onClickAction"]
        approved = await tab.action(reply.thread_id, action["type"], action["payload"], card["id"])
        assert approved.text == "Done."
        assert "Order 17 is deleted." in str(upstream.requests[-1].body["input"])
        rows = await served.rows("SELECT tool, arguments, decision FROM approvals")
        assert rows == [{"tool": "delete_order", "arguments": '{"number": 17}', "decision": "approved"}]
