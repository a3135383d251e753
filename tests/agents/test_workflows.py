"""CHATKIT_AGENT as a mapping: a session's workflow id chooses the agent, its actions and how its output is shown."""

from pathlib import Path

import pytest
from agents import Agent
from openai.types.beta.chatkit import ChatSession

from chatkit_server import RequestContext, Settings
from chatkit_server.agents.loading import AgentLike
from chatkit_server.agents.workflows import ONLY, UnknownWorkflow, load_agents
from chatkit_server.context import SessionTerms
from chatkit_server.errors.setup import AgentSetupError
from chatkit_server.startup.agent_check import try_agents
from tests.routes.sessions import serving_sessions
from tests.serving import serve

SALES, HELP = Agent(name="Sales"), Agent(name="Help")
NOBODY = RequestContext(user_id="ada")


def of_workflow(workflow_id: str) -> RequestContext:
    return RequestContext(user_id="ada", session=SessionTerms("cksess_1", workflow_id, None))


async def test_the_session_chooses_and_the_first_answers_without_one() -> None:
    choice: dict[str, AgentLike] = {"wf_sales": SALES, "wf_help": lambda: HELP}
    agents = load_agents(choice)
    assert agents.ids == ["wf_sales", "wf_help"]
    assert await agents.of(NOBODY).load(NOBODY) is SALES
    assert await agents.of(of_workflow("wf_help")).load(NOBODY) is HELP
    with pytest.raises(UnknownWorkflow, match="did you mean wf_help"):
        agents.of(of_workflow("wf_helpp"))
    with pytest.raises(UnknownWorkflow, match="CHATKIT_AGENT has wf_sales, wf_help"):
        agents.find("xyz")


async def test_a_single_agent_answers_whatever_the_workflow_is() -> None:
    agents = load_agents(HELP)
    assert (agents.first_id, agents.is_mapping) == (ONLY, False)
    assert await agents.of(of_workflow("anything")).load(NOBODY) is HELP


def test_an_empty_mapping_and_a_wrong_entry_are_setup_errors() -> None:
    with pytest.raises(AgentSetupError, match="is empty"):
        load_agents({})
    with pytest.raises(AgentSetupError, match="CHATKIT_AGENT=nowhere:agent"):
        load_agents({"wf_1": "nowhere:agent"})


def test_the_setting_is_a_name_or_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, value in (("my:agent", "my:agent"), ('{"wf_1": "my:agent"}', {"wf_1": "my:agent"})):
        monkeypatch.setenv("CHATKIT_AGENT", text)
        assert Settings(_env_file=None).agent == value
    for text in ("{oops", '{"wf_1": 5}'):
        monkeypatch.setenv("CHATKIT_AGENT", text)
        with pytest.raises(ValueError, match="agent"):
            Settings(_env_file=None)


async def test_each_agent_of_a_mapping_is_checked(tmp_path: Path) -> None:
    def broken(context: RequestContext) -> Agent[None]:
        assert context.session is not None
        raise RuntimeError(context.session.workflow_id)

    async with serve(tmp_path, {"wf_sales": SALES, "wf_broken": broken}) as served:
        sales, failed = await try_agents(served.services.server)
    assert (sales.workflow_id, sales.agent, sales.problems) == ("wf_sales", SALES, [])
    assert failed.agent is None
    assert "RuntimeError" in failed.problems[0]


MODULE = """
from agents import Agent
from chatkit_server import Actions

agent = Agent(name="{name}")
actions = Actions()

@actions.on("{action}")
async def answer(payload: dict) -> None:
    raise ValueError("{name}")
"""


async def test_each_agent_answers_the_actions_of_its_own_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("first_shop", "second_shop"):
        (tmp_path / f"{name}.py").write_text(MODULE.format(name=name, action="buy"), encoding="utf-8")
    mapping = {"wf_1": "first_shop:agent", "wf_2": "second_shop:agent"}
    async with serving_sessions(tmp_path, mapping) as backend:

        async def said_by(session: ChatSession) -> str:
            caplog.clear()
            async with backend.tab(session.client_secret) as tab:
                thread_id = (await tab.create("Hello")).thread_id
                assert (await tab.action(thread_id, "buy", {})).error is not None
                return caplog.text

        first, second = [await said_by(await backend.create(workflow=id)) for id in mapping]
    assert "first_shop" in first
    assert "second_shop" not in first
    assert "second_shop" in second
    assert "first_shop" not in second


async def test_a_session_of_a_workflow_that_is_gone_is_answered_by_no_other_agent(tmp_path: Path) -> None:
    async with serving_sessions(tmp_path, {"wf_1": SALES, "wf_2": HELP}) as backend:
        session = await backend.create(workflow="wf_2")
    async with serving_sessions(tmp_path, {"wf_1": SALES}) as backend, backend.tab(session.client_secret) as tab:
        reply = await tab.create("Hello")
        assert reply.error is not None
        assert reply.text == ""
