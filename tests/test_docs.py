"""README.md and docs/: Python blocks run, links resolve, and files, names and settings exist.

Every block of docs/agents.md is saved under the name in its first line and tested with a model."""

import importlib
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit_server import ChatServer, create_app
from tests.serving import Served, Tab, make_settings
from tests.support.chatkit import Reply, user_input
from tests.support.live_server import live
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer
from tests.support.sse import Json

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("store/*.md"), *ROOT.glob("docs/**/*.md")]
)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(path: str) -> str:
    """Return the text of a document."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(path: str) -> list[str]:
    """Return the Python blocks of a document."""
    return BLOCK.findall(read(path))


def modules_in(path: str) -> dict[str, str]:
    """Return the modules of a document by name; two blocks with one name are one module."""
    modules: dict[str, str] = {}
    for block in blocks(path):
        name = re.match(r"# (\w+)\.py\n", block)
        if name is not None:
            modules[name[1]] = modules.get(name[1], "") + block
    return modules


GUIDE = modules_in("docs/agents.md")
SERVERS = {"my_server", "mentions"}
"""Modules with an `app` instead of an `agent`."""
MODULES = GUIDE | modules_in("README.md")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a working directory that contains the modules; forget them afterwards."""
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """Yield the model's endpoint."""
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def served(request: pytest.FixtureRequest, folder: Path, upstream: OpenAIServer) -> AsyncIterator[Served]:
    """Yield the app with the agent that the test names."""
    app = create_app(make_settings(folder, agent=request.param, **endpoint(upstream)))
    async with live(app) as url:
        yield Served(app, url)


def endpoint(upstream: OpenAIServer) -> Json:
    """Return the settings of an app whose model is `upstream`."""
    return {"model": "gpt-test", "base_url": upstream.base_url, "api": "responses", "show_tools": True}


def module(name: str, agent: str = "agent") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("served", [f"{name}:{agent}"], indirect=True)


def server_class(folder: Path, name: str, kind: str) -> type[ChatServer]:
    """Return the server class of a module in the folder."""
    sys.path.insert(0, str(folder))
    server: type[ChatServer] = getattr(importlib.import_module(name), kind)
    return server


async def ask(upstream: OpenAIServer, tab: Tab, tool: str, **arguments: Any) -> Reply:
    """Send a first message, to which the model answers by calling a tool."""
    upstream.script(Answer(tool_calls=[ToolCall(tool, arguments)]), Answer("Done."))
    reply = await tab.create("Please")
    assert reply.error is None
    assert (await tab.reload(reply.thread_id)).items == tab.pictures[reply.thread_id].items
    return reply


@pytest.mark.parametrize("code", [block for path in DOCUMENTS for block in blocks(path)])
def test_every_block_runs_by_itself(code: str) -> None:
    exec(compile(code, "block", "exec"), {"__name__": "block"})


def test_the_guide_has_no_module_without_a_test() -> None:
    assert set(GUIDE) == {"clock", "orders", "baker", "poll", "reader", "shop", "clerk"} | SERVERS
    assert len(blocks("docs/agents.md")) == len(GUIDE)


LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"(?<![\w/.:-])[\w./-]+\.(?:py|ts|tsx|js|toml|md|ini|sh|widget)\b")
PLACES = (
    "",
    "chatkit_server",
    "chatkit_server/startup/new_project",
    "store",
    "web/src",
    "examples/embed/html",
    "examples/embed/next",
    "examples/hosted-page/after",
)
BUILT = {"element.js", "Next.js"}  # the latter is a framework
"""Files that a build writes."""
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)(?:\(.*?\))?`")
SETTING = re.compile(r"\bCHATKIT_[A-Z0-9_]+\b(?<!CHATKIT_API_BASE)")  # that one is a variable of OpenAI's starter app


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_link_resolves(path: str) -> None:
    for link in LINK.findall(read(path)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / path).parent / file if file else ROOT / path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_file_that_is_named_exists(path: str) -> None:
    example_files = {f"{name}.py" for name in MODULES | modules_in(path)}
    found = {name.removeprefix("/") for name in FILE.findall(LINK.sub("]", read(path)))}
    names = found - example_files - BUILT
    places = [*(ROOT / place for place in PLACES), (ROOT / path).parent]
    assert {name for name in names if not any((place / name).exists() for place in places)} == set()


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if not path.startswith("CHANGELOG")])
def test_every_setting_that_is_named_exists(path: str) -> None:
    assert set(SETTING.findall(read(path))) - set(SETTING.findall(read(".env.example"))) == set()


def test_every_name_in_the_architecture_exists() -> None:
    folders = ("chatkit_server", "store", "tests", "alembic", "web/src", "web/element/src")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".ts", ".tsx")]
    words = {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}
    names = set(NAME.findall(read("docs/architecture.md"))) - set(SETTING.findall(read(".env.example")))
    parts = {part for name in names if not FILE.fullmatch(name) for part in name.split(".")}
    assert parts - words == set()


EXAMPLE = re.compile(r"^\| `(examples\.\w+):agent` \| `(call (\w+) .*?)` \|", re.MULTILINE)
EXAMPLES = EXAMPLE.findall(read("docs/agents.md"))
CALL = re.compile(r"^`?(call (\w+) \{.*?\})`?\.?$", re.MULTILINE)
CALLS = CALL.findall(read("docs/agents.md"))


def test_every_example_has_a_message_to_write() -> None:
    modules = {f"examples.{path.stem}" for path in (ROOT / "examples").glob("[!_]*.py")}
    assert {module for module, _, _ in EXAMPLES} == modules
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


async def test_the_default_agent_shows_its_form_as_the_readme_says(folder: Path) -> None:
    assert all("`call ask_preferences`" in read(path) for path in ("README.md", "docs/models.md"))
    app = create_app(make_settings(folder))
    async with live(app) as url, Served(app, url).tab() as tab:
        reply = await tab.create("call ask_preferences")
        assert len(tab.pictures[reply.thread_id].of_type("widget")) == 1


@module("my_agents", "support")
async def test_the_agent_of_the_readme(served: Served, upstream: OpenAIServer) -> None:
    async with served.tab() as tab:
        assert (await ask(upstream, tab, "order_status", number="17")).text == "Done."
        assert "shipped yesterday" in str(upstream.requests[-1].body["input"])


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
        (form,) = tab.pictures[reply.thread_id].of_type("structured_input")
        params = {"thread_id": reply.thread_id, "item_id": form["id"], "input": {"answers": {"q1": {"values": ["L"]}}}}
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


async def test_a_server_class(folder: Path) -> None:
    app = create_app(make_settings(folder), server=server_class(folder, "my_server", "MyServer"))
    async with live(app) as url, Served(app, url).tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        reply = await tab.action(thread_id, "greet")
        assert [event["level"] for event in reply.of_type("notice")] == ["info"]


async def test_mentions(folder: Path, upstream: OpenAIServer) -> None:
    app = create_app(make_settings(folder, **endpoint(upstream)), server=server_class(folder, "mentions", "Shop"))
    async with live(app) as url, Served(app, url).tab() as tab:
        async with tab.session.get(f"{url}/api/entities", params={"q": "1"}) as response:
            (entity,) = (await response.json())["entities"]
        assert entity["title"] == "Order 17"
        tag = {"type": "input_tag", "id": entity["id"], "text": entity["title"], "data": {}, "interactive": False}
        message = user_input("Where is it?")
        message["content"].append(tag)
        await tab.post("threads.create", {"input": message})
        assert "two chairs" in str(upstream.requests[-1].body["input"])
