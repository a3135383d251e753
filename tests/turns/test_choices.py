"""A message may choose a model and a tool, but only those that the settings list."""

from collections.abc import Mapping
from typing import Any

import pytest
from agents import Agent, ModelSettings, function_tool
from openai.types.shared import Reasoning
from pydantic import ValidationError

from chatkit_server import Settings
from tests.serving import Tab, make_settings, serve
from tests.stage import Stage
from tests.support.openai_answers import Answer, ToolCall
from tests.turns.chat import Chat
from tests.turns.conftest import Start

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
both_apis = pytest.mark.parametrize("api", ["responses", "chat_completions"])

MODELS = [
    {"id": "gpt-test", "label": "Fast", "description": "For most things"},
    {"id": "gpt-5.2-pro", "label": "Deep"},
]
TOOLS = [{"id": "orders", "tool": "order_status", "label": "Orders", "icon": "suitcase", "pinned": True}]


@function_tool
def order_status() -> str:
    """The state of the order."""
    return "shipped yesterday"


@function_tool
def other() -> str:
    """Something else."""
    return "nothing"


AGENT = Agent[Any](name="Orders", tools=[order_status, other])


def choosing(model: str | None = None, tool: str | None = None) -> Mapping[str, Any]:
    """Return a message's `inference_options` as the widget sends them."""
    options = {"model": model, "tool_choice": {"id": tool} if tool is not None else None}
    return {"inference_options": {name: value for name, value in options.items() if value is not None}}


async def models_of(chat: Chat) -> list[str]:
    return [model for (model,) in await chat.select("SELECT model FROM turns ORDER BY started_at, id")]


@both_apis
async def test_the_turn_runs_with_the_chosen_model_and_records_it(start: Start, api: str) -> None:
    chat = await start(models=MODELS)
    async with await chat.visitor() as tab:
        first = await tab.create("Hello", **choosing("gpt-5.2-pro"))
        assert first.text == "Hello from the fake model."
        assert first.user_item["inference_options"]["model"] == "gpt-5.2-pro"
        await tab.send(first.thread_id, "And now?", **choosing("gpt-test"))
        await tab.send(first.thread_id, "And without?")
        reloaded = await tab.reload(first.thread_id)
    names = ["gpt-5.2-pro", "gpt-test", "gpt-test"]
    assert [request.body["model"] for request in chat.upstream.requests] == names
    assert await models_of(chat) == names
    assert reloaded.items[0]["inference_options"]["model"] == "gpt-5.2-pro"


@sqlite_only
async def test_the_chosen_model_gets_the_settings_that_fit_it(start: Start) -> None:
    """An agent without a model has the settings of the Agents SDK's default model."""
    chat = await start(models=MODELS)
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Hello", **choosing("gpt-5.2-pro"))).thread_id
        await tab.send(thread_id, "Hello", **choosing("gpt-test"))
    assert [request.body.get("reasoning") for request in chat.upstream.requests] == [{"effort": "medium"}, None]


@sqlite_only
async def test_the_users_choice_takes_precedence_over_the_agents_model(start: Start) -> None:
    custom = Agent[Any](name="own", model="gpt-own", model_settings=ModelSettings(reasoning=Reasoning(effort="high")))
    chat = await start(custom, models=MODELS)
    async with await chat.visitor() as tab:
        thread_id = (await tab.create("Hello", **choosing("gpt-5.2-pro"))).thread_id
        await tab.send(thread_id, "Hello")
    assert [request.body["model"] for request in chat.upstream.requests] == ["gpt-5.2-pro", "gpt-own"]


@both_apis
async def test_the_chosen_tool_is_required_for_the_first_call_only(start: Start, api: str) -> None:
    chat = await start(AGENT, tools=TOOLS)
    chat.upstream.script(Answer(tool_calls=[ToolCall("order_status")]), Answer("Shipped."))
    async with await chat.visitor() as tab:
        reply = await tab.create("Where is it?", **choosing(tool="orders"))
        assert reply.text == "Shipped."
        await tab.send(reply.thread_id, "Thanks")
        tool_choices = [request.body.get("tool_choice", "auto") for request in chat.upstream.requests]
        named = {"name": "order_status", "type": "function"}
        if api == "chat_completions":
            named = {"type": "function", "function": {"name": "order_status"}}  # type: ignore[dict-item]  # another shape
        assert tool_choices == [named, "auto", "auto"]


@sqlite_only
async def test_a_chosen_tool_that_the_agent_lacks_is_ignored(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    chat = await start(Agent[Any](name="Bare"), tools=TOOLS)
    async with await chat.visitor() as tab:
        assert (await tab.create("Where is it?", **choosing(tool="orders"))).text == "Hello from the fake model."
    assert "tool_choice" not in chat.upstream.requests[0].body
    assert "lacks the chosen tool order_status" in caplog.text


@sqlite_only
@pytest.mark.parametrize(
    ("choice", "word"),
    [
        (choosing("gpt-expensive"), "gpt-expensive"),
        (choosing(tool="delete_all"), "delete_all"),
        (choosing(tool="order_status"), "order_status"),
    ],
    ids=["a model", "a tool", "a tool by the agent's own name for it"],
)
async def test_an_unlisted_choice_is_refused_and_nothing_is_written(
    start: Start, choice: Mapping[str, Any], word: str
) -> None:
    chat = await start(AGENT, models=MODELS, tools=TOOLS)
    async with await chat.visitor() as tab, chat.tab(frame=False) as script:
        refused = await tab.create("Hello", **choice)
        assert refused.types == ["error"]
        assert f"“{word}” is not on offer here" in refused.events[0]["message"]
        plain = await script.create("Hello", **choice)
        assert (plain.status, plain.body["code"]) == (400, "invalid_choice")
        existing_id = (await tab.create("Hello")).thread_id
        assert (await tab.send(existing_id, "Again", **choice)).types == ["error"]
        assert len((await tab.reload(existing_id)).items) == 2
    assert await chat.select("SELECT count(*) FROM threads") == [(1,)]
    assert len(chat.upstream.requests) == 1


@sqlite_only
async def test_a_retry_keeps_the_choices_that_are_still_offered(start: Start) -> None:
    chat = await start(AGENT, models=MODELS, tools=TOOLS)
    chat.upstream.script(Answer(tool_calls=[ToolCall("order_status")]), Answer("Shipped."))
    async with await chat.visitor() as tab:
        first = await tab.create("Where is it?", **choosing("gpt-5.2-pro", "orders"))
        await tab.retry(first.thread_id, first.user_item["id"])
        request = chat.upstream.requests[-1].body
        assert (request["model"], request["tool_choice"]["name"]) == ("gpt-5.2-pro", "order_status")
        assert request["reasoning"] == {"effort": "medium"}

        fewer = await start(AGENT)
        async with fewer.tab(cookies=tab.cookies) as later:
            await later.retry(first.thread_id, first.user_item["id"])
        request = chat.upstream.requests[-1].body
        assert (request["model"], request.get("tool_choice")) == ("gpt-test", None)
    assert await models_of(chat) == ["gpt-5.2-pro", "gpt-5.2-pro", "gpt-test"]


async def options(tab: Tab) -> Any:
    async with tab.session.get(f"{tab.base_url}/api/chatkit/options") as response:
        assert (response.status, response.headers["cache-control"]) == (200, "private, no-cache")
        return await response.json()


@sqlite_only
async def test_the_options_list_what_the_widget_may_offer(start: Start) -> None:
    chat = await start(AGENT, models=MODELS, tools=TOOLS, prompts=[{"label": "Hi", "prompt": "Hello there"}])
    async with await chat.visitor() as tab:
        offers = await options(tab)
    assert offers == {
        "widget": "auto",
        "agent": AGENT.name,
        "models": [
            {"id": "gpt-test", "label": "Fast", "description": "For most things", "default": True},
            {"id": "gpt-5.2-pro", "label": "Deep", "default": False},
        ],
        "tools": [{"id": "orders", "label": "Orders", "icon": "suitcase", "pinned": True, "persistent": False}],
        "prompts": [{"label": "Hi", "prompt": "Hello there", "icon": "sparkle"}],
        "attachments": {"enabled": True, "maxSize": 20 * 1024**2, "maxCount": 10},
        "features": {
            **dict.fromkeys(("attachments", "feedback", "history", "retry"), True),
            **dict.fromkeys(("dictation", "mentions", "mentionPreviews"), False),
        },
    }


@sqlite_only
async def test_default_prompts_match_the_model_and_the_agent(start: Start) -> None:
    default_chat, custom = await start(), await start(AGENT)
    async with default_chat.tab() as tab, custom.tab() as other_tab:
        offers, others = await options(tab), await options(other_tab)
    assert (offers["models"], offers["tools"], len(offers["prompts"])) == ([], [], 4)
    assert "What time is it?" in [prompt["label"] for prompt in offers["prompts"]]
    assert "What time is it?" not in [prompt["label"] for prompt in others["prompts"]]


async def test_dictation_is_offered_if_the_server_class_implements_it(tmp_path: Any) -> None:
    async with serve(tmp_path, server=Stage().factory()) as served, served.tab() as tab:
        assert (await options(tab))["features"]["dictation"] is True


# Settings


def test_models_may_be_names_and_the_first_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CHATKIT_MODELS", "gpt-a, gpt-b")
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert settings.model == "gpt-a"
    assert [(model.id, model.label, model.default) for model in settings.models] == [
        ("gpt-a", "gpt-a", True),
        ("gpt-b", "gpt-b", False),
    ]


def test_the_marked_model_is_the_default(tmp_path: Any) -> None:
    settings = make_settings(tmp_path, model=None, models='["gpt-a", {"id": "gpt-b", "default": true}]')
    assert settings.model == "gpt-b"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": "[not json"}, "comma-separated names"),
        ({"models": "a,a"}, "twice"),
        ({"model": "b", "models": "a"}, "must list CHATKIT_MODEL"),
        ({"model": "b", "models": [{"id": "a", "default": True}, "b"]}, "must not mark another model as the default"),
        ({"tools": [{"id": ""}]}, "at least 1"),
        ({"tools": [{"id": "a", "colour": "red"}]}, "has no colour"),
    ],
)
def test_invalid_lists_are_refused(tmp_path: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_settings(tmp_path, **{"model": None, **values})
