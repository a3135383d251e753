"""A server in the manner of OpenAI's cat lounge: widgets with actions, hidden context, client effects, titles."""

from tests.adopted.hosts import Host, check_reload
from tests.adopted.servers.greenhouse import GreenhouseServer
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer

NAMES = ["Fern", "Ivy", "Moss"]


async def test_its_tools_change_the_plant_and_the_page(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(
        Answer(tool_calls=[ToolCall("read_plant"), ToolCall("water_plant", {"amount": 3})]),
        Answer("It is happy now."),
        Answer("You watered it with 3."),
    )
    async with host.serve(GreenhouseServer) as tab:
        reply = await tab.create("Please water the plant")
        assert reply.error is None
        assert reply.text == "It is happy now."
        (effect,) = reply.of_type("client_effect")
        assert (effect["name"], effect["data"]) == ("plant.watered", {"moisture": 8})
        again = await tab.send(reply.thread_id, "How much did it get?")
        assert again.text == "You watered it with 3."
        await check_reload(tab, reply.thread_id)
    assert "<WATERED>3</WATERED>" in str(upstream.requests[2].body), "the model reads the hidden note"


async def test_a_name_is_chosen_in_a_widget(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("suggest_names", {"names": NAMES})]), Answer("Ivy needs light."))
    async with host.serve(GreenhouseServer) as tab:
        reply = await tab.create("Which name?")
        assert reply.text == "How about one of these?"
        (widget,) = reply.picture.of_type("widget")
        action = widget["widget"]["children"][1]["onClickAction"]
        clicked = await tab.action(reply.thread_id, action["type"], action["payload"], widget["id"])
        assert clicked.error is None
        assert clicked.text == "Hello, Ivy!"
        picture = tab.pictures[reply.thread_id]
        assert picture.thread["title"] == "Ivy in the greenhouse"
        assert [row["children"][1]["label"] for row in picture.of_type("widget")[0]["widget"]["children"]] == [
            "free",
            "chosen",
            "free",
        ]
        await check_reload(tab, reply.thread_id)
        assert [thread["title"] for thread in await tab.history()] == ["Ivy in the greenhouse"]
        renamed = await tab.action(reply.thread_id, action["type"], action["payload"] | {"name": "Moss"}, widget["id"])
        assert renamed.text == "It is called Ivy already."
        await tab.send(reply.thread_id, "What does it need?")
    assert "<NAME_CHOSEN>Ivy</NAME_CHOSEN>" in str(upstream.requests[1].body)


async def test_a_retry_asks_its_model_without_the_old_answer(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(Answer("It is thirsty."), Answer("It is happy."), Answer("Because of the rain."))
    async with host.serve(GreenhouseServer) as tab:
        reply = await tab.create("How is it?")
        retried = await tab.retry(reply.thread_id, reply.user_item["id"])
        assert retried.text == "It is happy."
        await tab.send(reply.thread_id, "Why?")
        await check_reload(tab, reply.thread_id)
        assert [text for _, text in tab.pictures[reply.thread_id].texts()][1] == "It is happy."
    assert upstream.requests[1].body["input"] == upstream.requests[0].body["input"]
    assert "thirsty" not in str(upstream.requests[2].body)
