"""Exports can be tried without a key: the demo model answers for whatever models and tools they name."""

from importlib import import_module
from pathlib import Path

import pytest

from chatkit_server.agents.loading import AgentLike
from tests.serving import serve

HERE = "tests.exports.workflows"


@pytest.mark.parametrize("name", ["one_agent", "branches", "while_loop", "approval", "pair"])
async def test_the_demo_model_answers(tmp_path: Path, name: str) -> None:
    run_workflow = import_module(f"{HERE}.{name}").run_workflow
    async with serve(tmp_path, run_workflow) as served, served.tab() as tab:
        reply = await tab.create("I want to return my lamp")
        assert reply.error is None
        picture = await tab.reload(reply.thread_id)
        assert picture.items == tab.pictures[reply.thread_id].items
        assert [role for role, _ in picture.texts()][:2] == ["user", "assistant"]
        assert "loading" not in str(picture.items)


async def test_the_mapping_of_workflow_ids_takes_exports_by_name(tmp_path: Path) -> None:
    agents: dict[str, AgentLike | str] = {
        "wf_one": f"{HERE}.one_agent:run_workflow",
        "wf_pair": f"{HERE}.pair:run_workflow",
    }
    async with serve(tmp_path, agents) as served, served.tab() as tab:
        assert (await tab.create("Hello")).error is None
        assert served.services.server.agents.ids == ["wf_one", "wf_pair"]
