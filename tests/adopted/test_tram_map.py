"""A server in the manner of OpenAI's metro map: client tool calls by a tool and by an action, effects, workflows."""

from tests.adopted.hosts import Host, check_reload
from tests.adopted.servers.tram_map import TramServer
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import OpenAIServer


async def test_it_shows_its_steps_as_a_workflow(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(
        Answer(tool_calls=[ToolCall("plan_way", {"start": "Mill", "end": "Castle"})]), Answer("Change at Market.")
    )
    async with host.serve(TramServer) as tab:
        reply = await tab.create("From Mill to Castle?")
        assert reply.error is None
        assert reply.text == "Change at Market."
        (workflow,) = reply.picture.of_type("workflow")
        assert workflow["workflow"]["summary"]["title"] == "From Mill to Castle"
        assert [task["status_indicator"] for task in workflow["workflow"]["tasks"]] == ["complete", "complete"]
        assert [effect["name"] for effect in reply.of_type("client_effect")] == ["map.show_way"]
        assert reply.picture.thread["title"] == "Tram plans"
        if not host.is_stock:  # its events hold the workflow as it is at the end, so a task is shown twice
            await check_reload(tab, reply.thread_id)


async def test_the_page_answers_a_call_of_its_tool(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(
        Answer(tool_calls=[ToolCall("add_stop", {"line": "blue", "name": "Lake"}, call_id="call_1")]),
        Answer("The lake has a stop now."),
        Answer("Gladly."),
    )
    async with host.serve(TramServer) as tab:
        reply = await tab.create("Add a stop at the lake")
        assert reply.error is None
        (call,) = reply.picture.tool_calls
        assert (call["name"], call["arguments"]) == ("draw_stop", {"line": "blue", "name": "Lake"})
        answered = await tab.tool_output(reply.thread_id, {"fits": True})
        assert answered.text == "The lake has a stop now."
        await tab.send(reply.thread_id, "Thank you")
        await check_reload(tab, reply.thread_id)
    for request in upstream.requests[1:]:
        assert '"fits": true' in str(request.body), "the model reads what the page answered"


async def test_an_action_calls_a_tool_of_the_page(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("ask_for_line")]), Answer("At the end of the red line, then."))
    async with host.serve(TramServer) as tab:
        reply = await tab.create("Add a stop")
        (widget,) = reply.picture.of_type("widget")
        action = widget["widget"]["children"][0]["onClickAction"]
        clicked = await tab.action(reply.thread_id, action["type"], action["payload"], widget["id"])
        assert clicked.text == "The red line. Where shall the stop be?"
        assert clicked.picture.tool_calls[-1]["name"] == "zoom_to_line"
        silent = await tab.tool_output(reply.thread_id, {})
        assert silent.error is None
        assert silent.text == ""
        assert len(upstream.requests) == 1, "its respond says nothing after this call"
        assert (await tab.send(reply.thread_id, "At its end")).text == "At the end of the red line, then."
        await check_reload(tab, reply.thread_id)


async def test_an_action_removes_its_widget(host: Host, upstream: OpenAIServer) -> None:
    upstream.script(Answer(tool_calls=[ToolCall("ask_for_line")]))
    async with host.serve(TramServer) as tab:
        reply = await tab.create("Add a stop")
        (widget,) = reply.picture.of_type("widget")
        await tab.action(reply.thread_id, "line.dismiss", None, widget["id"])
        assert tab.pictures[reply.thread_id].of_type("widget") == []
        await check_reload(tab, reply.thread_id)
