"""CHATKIT_AGENT: what it may name, and the messages for mistakes."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import Agent

from chatkit_server import RequestContext
from chatkit_server.agents.loading import load_agent
from chatkit_server.errors.setup import AgentSetupError
from tests.serving import serve

CONTEXT = RequestContext(user_id="ada", locale="de")

MODULE = """
    import functools
    from agents import Agent, function_tool

    support = Agent(name="Support")
    number = 5

    @function_tool
    def tool() -> str:
        return "x"

    def plain():
        return Agent(name="Plain")

    def greeting(context):
        return Agent(name=f"For {context.user_id} in {context.locale}")

    def optional(context=None):
        return Agent(name=f"For {context.user_id}")

    async def later(context):
        return Agent(name=f"Later for {context.user_id}")

    def many(context, database, *, cache):
        return Agent(name="Never")

    def keyword(*, cache):
        return Agent(name="Never")

    def wrong(context):
        return "an agent, honestly"

    class Factory:
        def __call__(self, context):
            return Agent(name=f"Made for {context.user_id}")

    class AsyncFactory:
        async def __call__(self):
            return Agent(name="Made later")

    factory, async_factory = Factory(), AsyncFactory()
    partial = functools.partial(lambda name, context: Agent(name=name), "Partial")
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path) -> Iterator[Path]:
    """A package `shop` in the working directory, unloaded afterwards."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "team.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    path = list(sys.path)
    yield package
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"shop", "broken", "quitter"}]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        ("support", "Support"),
        ("plain", "Plain"),
        ("greeting", "For ada in de"),
        ("optional", "For ada"),
        ("factory", "Made for ada"),
        ("partial", "Partial"),
    ],
)
async def test_an_agent_or_a_function_is_loaded_from_the_working_directory(name: str, agent: str) -> None:
    source = load_agent(f"shop.team:{name}")
    assert (await source.load(CONTEXT)).name == agent


@pytest.mark.parametrize(("name", "agent"), [("later", "Later for ada"), ("async_factory", "Made later")])
async def test_an_async_function_is_awaited(name: str, agent: str) -> None:
    source = load_agent(f"shop.team:{name}")
    assert (await source.load(CONTEXT)).name == agent


async def test_without_a_name_the_default_agent_is_loaded() -> None:
    agent, without_tools = await load_agent(None).load(CONTEXT), await load_agent(None, tools=False).load(CONTEXT)
    assert [tool.name for tool in agent.tools] == ["current_time", "ask_preferences"]
    assert without_tools.tools == []


@pytest.mark.parametrize("spec", ["shop.team", "shop.team:", ":support", "shop/team.py:support", "shop.team:a.b", ""])
def test_a_malformed_value_is_refused(spec: str) -> None:
    with pytest.raises(AgentSetupError, match="must look like package.module:name"):
        load_agent(spec)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nowhere:agent", "there is no module 'nowhere' in "),
        ("shop.nowhere:agent", "there is no module 'shop.nowhere' in "),
        ("nowhere.at.all:agent", "there is no module 'nowhere' in "),
        ("shop.team:suport", "module 'shop.team' has no 'suport'; did you mean support?"),
        ("shop.team:greting", "did you mean greeting?"),
        ("shop.team:zzz", "did you mean support?"),
        ("shop:zzz", "module 'shop' has no 'zzz'."),
        ("shop.team:number", "is an int, not an agents.Agent or a function that returns one."),
        ("shop.team:tool", "is a FunctionTool, not an agents.Agent"),
        ("shop.team:Factory", "is the class Factory, not an agents.Agent"),
        ("shop.team:many", "needs the arguments context, database, cache, but an agent function gets only one"),
        ("shop.team:keyword", "needs the arguments cache, but an agent function gets only one"),
    ],
)
def test_the_error_names_what_is_wrong(spec: str, sentence: str) -> None:
    with pytest.raises(AgentSetupError) as caught:
        load_agent(spec)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"CHATKIT_AGENT={spec}")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("1 / 0", "importing 'broken' failed with ZeroDivisionError: division by zero."),
        ("import missing_library", "failed with ModuleNotFoundError: No module named 'missing_library'."),
        ("def (", "failed with SyntaxError: invalid syntax"),
        ("raise SystemExit('no key')", "failed with SystemExit: no key."),
    ],
)
def test_the_error_names_why_an_import_failed(tmp_path: Path, code: str, sentence: str) -> None:
    (tmp_path / "broken.py").write_text(code, encoding="utf-8")
    with pytest.raises(AgentSetupError) as caught:
        load_agent("broken:agent")
    assert sentence in str(caught.value)


async def test_a_function_that_returns_something_else_is_an_error() -> None:
    source = load_agent("shop.team:wrong")
    with pytest.raises(AgentSetupError, match="CHATKIT_AGENT=shop.team:wrong returned a str, not an agents.Agent"):
        await source.load(CONTEXT)


async def test_an_agent_or_a_function_can_be_passed_directly() -> None:
    agent = Agent(name="Given")

    async def later(context: RequestContext) -> Agent:
        return Agent(name=f"Later for {context.user_id}")

    assert await load_agent(agent).load(CONTEXT) is agent
    assert (await load_agent(lambda: agent).load(CONTEXT)) is agent
    assert (await load_agent(later).load(CONTEXT)).name == "Later for ada"


def test_other_objects_and_unsuitable_functions_are_errors() -> None:
    with pytest.raises(AgentSetupError, match=r"^The agent int is an int, not an agents.Agent or a function"):
        load_agent(5)  # type: ignore[arg-type]  # what a user without mypy may write
    with pytest.raises(AgentSetupError, match=r"^The agent both needs the arguments context, database, but"):
        load_agent(both)


def both(context: RequestContext, database: str) -> Agent:
    raise AssertionError("never called")


async def test_an_agent_function_is_not_called_at_startup(tmp_path: Path) -> None:
    """Only requests and `doctor` call it."""

    def never() -> Agent:
        raise AssertionError("called at startup")

    async with serve(tmp_path, agent=never) as served, served.tab() as tab:
        assert await tab.history() == []


async def test_an_offered_tool_that_the_agent_lacks_is_logged_at_startup(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(tmp_path, tools="current_time,nope"):
        pass
    assert "CHATKIT_TOOLS offers nope, but the agent Assistant has no such tool; it has ask_pre" in caplog.text
    assert "offers current_time" not in caplog.text


def test_actions_of_another_type_are_logged_and_ignored(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    (shop / "cards.py").write_text(
        "from agents import Agent\n\nsupport = Agent(name='Support')\nactions = [1]\n", encoding="utf-8"
    )
    assert list(load_agent("shop.cards:support").actions) == []
    assert "`actions` in module 'shop.cards' is a list, not a chatkit_server.Actions" in caplog.text


async def test_actions_of_the_agents_module_are_loaded_with_it(shop: Path) -> None:
    (shop / "cards.py").write_text(
        "from agents import Agent\nfrom chatkit_server import Actions\n\nsupport = Agent(name='Support')\n"
        "actions = Actions()\n\n@actions.on('vote')\nasync def vote(): ...\n",
        encoding="utf-8",
    )
    source = load_agent("shop.cards:support")
    assert [handler.type for handler in source.actions] == ["vote"]
    assert list(load_agent("shop.team:support").actions) == []


async def test_the_function_output_text_is_loaded_with_its_agent(shop: Path) -> None:
    (shop / "typed.py").write_text(
        "from agents import Agent\n\nsupport = Agent(name='Support', output_type=list[str])\n\n\n"
        "def output_text(lines):\n    return ' and '.join(lines)\n",
        encoding="utf-8",
    )
    output_text = load_agent("shop.typed:support").output_text
    assert output_text is not None
    assert output_text(["a", "b"]) == "a and b"
    assert load_agent("shop.team:support").output_text is None


def test_a_module_sees_the_variables_of_the_env_file_except_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`AsyncOpenAI()` at module level, as in exported workflows, reads the environment only."""
    for name in ("OPENAI_API_KEY", "ORDERS_URL", "SHOP"):
        monkeypatch.setenv(name, "from the environment")  # so that it is restored
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("ORDERS_URL")
    Path(".env").write_text(
        "OPENAI_API_KEY=sk-of-file\nORDERS_URL='https://orders.example'\nSHOP=of-file\nCHATKIT_PORT=8001\nEMPTY=\n",
        encoding="utf-8",
    )
    Path("reading_agents.py").write_text(
        "import os\nfrom agents import Agent\n"
        "names = [os.environ.get(name) for name in ('OPENAI_API_KEY', 'ORDERS_URL', 'SHOP', 'CHATKIT_PORT', 'EMPTY')]\n"
        "agent = Agent(name=str(names))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(Path.cwd())
    source = load_agent("reading_agents:agent")
    assert source.agent_name == str(["sk-of-file", "https://orders.example", "from the environment", None, None])


@pytest.mark.parametrize(("source", "advice"), [("agent-builder", True), ("mine", False)])
def test_an_export_that_cannot_be_imported_is_sent_to_its_check(
    monkeypatch: pytest.MonkeyPatch, source: str, advice: bool
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("flows").mkdir()
    Path("flows/wrong.py").write_text(f'SOURCE = "{source}"\nLIMIT = integer(3)\n', encoding="utf-8")
    with pytest.raises(AgentSetupError) as raised:
        load_agent("flows.wrong:run_workflow")
    assert str(raised.value).endswith("migrate-workflow flows/wrong.py` says what to change.") is advice
    assert "failed with NameError: name 'integer' is not defined." in str(raised.value)


def test_an_export_with_a_client_of_its_own_is_said_to_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("guarded_export.py").write_text("from openai import AsyncOpenAI\nclient = AsyncOpenAI()\n", encoding="utf-8")
    with pytest.raises(
        AgentSetupError, match=r"an OpenAI client of its own; set OPENAI_API_KEY, in .env or the environ"
    ):
        load_agent("guarded_export:run_workflow")
