"""CHATKIT_AGENT as a mapping: a session's workflow id chooses the agent, its actions and how its output is shown."""

from pathlib import Path

import pytest
from agents import Agent

from chatkit_server import RequestContext, Settings
from chatkit_server.agents.loading import AgentLike
from chatkit_server.agents.workflows import ONLY, UnknownWorkflow, load_agents
from chatkit_server.context import SessionTerms
from chatkit_server.errors.setup import AgentSetupError
from chatkit_server.startup.agent_check import try_agents
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
