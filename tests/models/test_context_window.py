"""Which messages fit into a small context window."""

from typing import Any

import pytest
from agents import Agent, RunConfig, Runner
from agents.testing import ScriptedModel, assistant_message, function_call
from hypothesis import given
from hypothesis import strategies as st

from chatkit_server.agents.default import default_agent
from chatkit_server.models.embedded.context_window import (
    MESSAGE_TOKENS,
    PlainMessage,
    cut_text,
    read_messages,
    trim_messages,
)

NO_TRACES = RunConfig(tracing_disabled=True)


async def count_words(text: str) -> int:
    return len(text.split())


def conversation(*texts: str) -> list[PlainMessage]:
    return [PlainMessage("assistant" if index % 2 else "user", text) for index, text in enumerate(texts)]


async def test_a_turn_with_tools_is_reduced_to_its_messages() -> None:
    model = ScriptedModel(
        [[function_call("current_time", {"time_zone": "UTC"}, call_id="c1")], [assistant_message("2")]]
    )
    agent = default_agent().clone(model=model)
    question: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "1+1?"}]}]
    result = await Runner.run(agent, question, run_config=NO_TRACES)
    assert read_messages(result.to_input_list()) == [PlainMessage("user", "1+1?"), PlainMessage("assistant", "2")]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"role": "developer", "content": "Be kind."}, [PlainMessage("system", "Be kind.")]),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, [PlainMessage("assistant", "No.")]),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}, []),
        ({"type": "reasoning", "summary": [{"text": "hm"}]}, []),
    ],
)
def test_other_items_become_text_or_are_left_out(item: Any, expected: list[PlainMessage]) -> None:
    assert read_messages([item]) == expected


async def test_a_history_that_fits_is_kept_and_not_even_counted() -> None:
    async def fail(text: str) -> int:
        raise AssertionError("a short history needs no tokenizer")

    messages = conversation("a", "b", "c")
    assert await trim_messages(messages, budget=100, count=fail) == messages


async def test_the_oldest_messages_are_dropped_and_the_window_begins_with_the_user() -> None:
    messages = conversation(*(f"word{n} " * 20 for n in range(9)))
    window = await trim_messages(messages, budget=100, count=count_words)
    assert window == messages[-len(window) :]
    assert window[0].role == "user"
    assert 1 <= len(window) <= 3


async def test_the_window_moves_in_steps() -> None:
    """The engine caches the prompt prefix, so the first message must stay the same for some turns."""
    texts = [f"{n} " + "word " * 20 for n in range(60)]
    firsts = []
    for length in range(1, 60, 2):
        window = await trim_messages(conversation(*texts[:length]), budget=300, count=count_words)
        firsts.append(window[0].text)
    assert len(set(firsts)) < len(firsts) / 2


async def test_the_middle_of_a_message_that_is_too_long_is_cut_out() -> None:
    text = "BEGIN " + "word " * 5000 + "END"
    (message,) = await trim_messages([PlainMessage("user", text)], budget=100, count=count_words)
    assert message.text.startswith("BEGIN")
    assert message.text.endswith("END")
    assert await count_words(message.text) <= 100 - MESSAGE_TOKENS


@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=30), budget=st.integers(60, 500))
async def test_the_result_always_fits_and_ends_with_the_last_message(sizes: list[int], budget: int) -> None:
    messages = conversation(*("w " * size + str(index) for index, size in enumerate(sizes)))
    window = await trim_messages(messages, budget=budget, count=count_words)
    assert sum([MESSAGE_TOKENS + await count_words(message.text) for message in window]) <= budget
    assert window[-1].text.endswith(str(len(sizes) - 1))


async def test_a_text_without_any_budget_is_empty() -> None:
    assert await cut_text("some words here", budget=0, count=count_words) == ""


async def test_an_agent_can_be_run_on_the_plain_messages() -> None:
    items = [message.to_item() for message in conversation("a", "b", "c")]
    model = ScriptedModel([[assistant_message("d")]])
    assert (await Runner.run(Agent(name="Test", model=model), items, run_config=NO_TRACES)).final_output == "d"
