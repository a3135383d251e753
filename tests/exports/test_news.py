"""Of what a workflow returns, the user reads what the answers of its agents have not said."""

from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message
from pydantic import BaseModel

from chatkit_server.conversion.readable import readable
from chatkit_server.exports.ending import answer_text
from tests.exports.small import WorkflowInput
from tests.serving import serve

LONG = "Green tea comes from leaves that nobody has let wither."
SHOWN = {"one", "two", "1", "2", "First.\n\n- a\n- b", LONG}
KNOWN = {"Who are you?", "They ask for a name."}


class Both(BaseModel):
    first: str
    second: str


@pytest.mark.parametrize(
    "returned",
    [
        "onetwo",
        "one two",
        "one\ntwo\n",
        "two, one, two",
        "one\n\n---\n\ntwo",
        "# Report\n\n## Research\n\none\n\n## Editing\ntwo",
        "**Research:**\none\n\n**Editing**\n\ntwo\n\n---",
        f"Research: {LONG}\n\n**Editing:** two",
        "- one\n- two",
        "1. one\n2. two",
        "**Research:** one\n\n**Editing:** two",
        f"First.\n- a\n- b\n{LONG}",
        ["one", "two"],
        ("one", "two"),
        ["onetwo", "First.\n\n- a\n- b"],
        {"research": "one", "editing": "two"},
        {"answers": ["one", "two"], "count": 2},
        {"output_text": "one\n\ntwo", "plan": "free"},
        {"output_parsed": {"first": "one", "second": "two"}},
        [{"output_text": "one"}, {"output_text": "two"}],
        [{"agent": "Writer", "text": "one"}, {"agent": "Editor", "text": "two"}],
        Both(first="one", second="two"),
        {"message": "one", "reason": "They ask for a name.", "asked": "Who are you?"},
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "one", "annotations": []}]},
        ],
    ],
)
def test_nothing_of_it_is_new(returned: Any) -> None:
    assert answer_text(returned, readable, SHOWN, KNOWN) == ""


@pytest.mark.parametrize(
    ("returned", "news"),
    [
        ("one\n\ntwo\n\nIt costs 5.", "It costs 5."),
        ("It costs 5.\n\none", "It costs 5."),
        (
            "# Report\n\nMade for you.\n\n## Research\n\none\n\n## Price\n\nIt costs 5.",
            "# Report\n\nMade for you.\n\n## Price\n\nIt costs 5.",
        ),
        (f"{LONG}\nSource: a book", "Source: a book"),
        (f"Before\n{LONG}\nAfter", "Before\n\nAfter"),
        ({"message": "one", "next": "Call us at 5."}, "Call us at 5."),
        ({"message": "one", "next": "请打电话给我们。", "plan": "free"}, "请打电话给我们。"),
        (["one", "It costs 5.", "And 3 more."], "- It costs 5.\n- And 3 more."),
        ([{"text": "one"}, {"text": "It costs 5.", "code": 3}], "It costs 5."),
    ],
)  # fmt: skip
def test_the_news_of_it_are_shown(returned: Any, news: str) -> None:
    assert answer_text(returned, readable, SHOWN, KNOWN) == news


@pytest.mark.parametrize(
    "returned",
    [
        "12",
        "one and two",
        "Nobody is one.",
        "- one\n- three",
        "one\nthree",
        "twofold",
        f"They say: {LONG} But why?",
        "# one or two",
        "They ask for a name.",
        "Wrong: one",
    ],
)
def test_a_text_is_not_torn(returned: str) -> None:
    assert answer_text(returned, readable, SHOWN, KNOWN) == returned


def test_data_without_an_answer_is_shown_as_it_is() -> None:
    data = {"text": "a\n\n\n\nb", "count": 3}
    assert answer_text(data, readable, SHOWN, KNOWN) == readable(data)


async def test_the_answers_of_two_agents_in_a_row(tmp_path: Path) -> None:
    model = ScriptedModel([[assistant_message(text)] for text in ("one", "two", "three", "four")])
    agents = [Agent(name=name, model=model) for name in ("A", "B")]

    async def run_workflow(workflow_input: WorkflowInput) -> Any:
        texts = [(await Runner.run(agent, workflow_input.input_as_text)).final_output for agent in agents]
        return {"report": "\n\n".join([*texts, "It costs 5."][: 2 if "one" in texts else 3])}

    async with serve(tmp_path, run_workflow) as served, served.tab() as tab:
        first = await tab.create("Go")
        assert (await tab.reload(first.thread_id)).texts()[1:] == [("assistant", "one"), ("assistant", "two")]
        assert (await tab.send(first.thread_id, "On")).text == "threefourIt costs 5."
        assert (await tab.reload(first.thread_id)).items == tab.pictures[first.thread_id].items
