"""A server in the manner of OpenAI's news guide: progress, a title agent, agents as tools, a context of its own."""

from tests.adopted.hosts import Host, check_reload
from tests.adopted.servers.gazette import GazetteServer, make_context
from tests.support.openai_answers import Answer, ToolCall
from tests.support.openai_server import ModelRequest, OpenAIServer

ARTICLE = {"article-id": "bakery"}


def by_agent(upstream: OpenAIServer, *answers: Answer, title: str = "News of today.") -> None:
    """Answer the title agent with `title`, and the others in order: they run beside each other."""
    queue = list(answers)

    def answer(request: ModelRequest) -> Answer:
        return Answer(title) if request.body["model"] == "gpt-5-nano" else queue.pop(0)

    upstream.default = answer


def requests_of(upstream: OpenAIServer, model: str = "gpt-4.1-mini") -> list[ModelRequest]:
    return [request for request in upstream.requests if request.body["model"] == model]


async def test_its_tools_report_progress_and_its_title_agent_names_the_thread(
    host: Host, upstream: OpenAIServer
) -> None:
    by_agent(upstream, Answer(tool_calls=[ToolCall("search_articles", {"word": "harbour"})]), Answer("It froze over."))
    async with host.serve(GazetteServer, context=make_context) as tab:
        reply = await tab.create("What about the harbour?")
        assert reply.error is None
        assert [event["text"] for event in reply.of_type("progress_update")] == ["Searching for harbour", "1 articles"]
        assert reply.text == "It froze over."
        assert reply.picture.thread["title"] == "News of today"
        await check_reload(tab, reply.thread_id)
        assert [thread["title"] for thread in await tab.history()] == ["News of today"]
    assert len(requests_of(upstream, "gpt-5-nano")) == 1


async def test_its_context_comes_from_the_request(host: Host, upstream: OpenAIServer) -> None:
    by_agent(
        upstream,
        Answer(tool_calls=[ToolCall("open_article")]),
        Answer("The bakery moves."),
        Answer("You have read it."),
        title="Bread",
    )
    async with host.serve(GazetteServer, context=make_context) as tab:
        params = {"input": {"content": [{"type": "input_text", "text": "What is this?"}], "attachments": []}}
        reply = await tab.post("threads.create", {"input": {**params["input"], "inference_options": {}}}, ARTICLE)
        assert reply.text == "The bakery moves."
        assert [event["text"] for event in reply.of_type("progress_update")] == ["Reading the page"]
        await tab.send(reply.thread_id, "Have I read it?")
    last = requests_of(upstream)[-1].body
    assert "<READ>bakery</READ>" in str(last)
    assert "Across the street" not in str(last), "its server sends no tool outputs of earlier turns"


async def test_an_action_changes_a_widget_that_is_saved(host: Host, upstream: OpenAIServer) -> None:
    call = ToolCall("show_articles", {"article_ids": ["harbour", "bakery"], "message": "Two for you."})
    by_agent(upstream, Answer(tool_calls=[call]))
    async with host.serve(GazetteServer, context=make_context) as tab:
        reply = await tab.create("What is new?")
        assert reply.text == "Two for you."
        (widget,) = reply.picture.of_type("widget")
        action = widget["widget"]["children"][0]["onClickAction"]
        clicked = await tab.action(reply.thread_id, action["type"], action["payload"], widget["id"])
        assert clicked.error is None
        assert [event["text"] for event in clicked.of_type("progress_update")] == ["Unfolding"]
        (changed,) = tab.pictures[reply.thread_id].of_type("widget")
        assert changed["widget"]["children"][0]["children"][1]["value"] == "For the first time in forty years."
        opened = await tab.action(reply.thread_id, "article.open", {"id": "bakery"})
        assert opened.text == "You opened _A bakery moves_. Any questions?"
        if not host.is_stock:  # `process` forgets updates of saved items
            await check_reload(tab, reply.thread_id)


async def test_a_tool_of_the_composer_chooses_the_agent(host: Host, upstream: OpenAIServer) -> None:
    by_agent(
        upstream,
        Answer("Which bakery moves?"),
        Answer(tool_calls=[ToolCall("set_a_puzzle", {"input": "harbours"})]),
        Answer("What freezes?"),
        Answer("A puzzle: what freezes?"),
    )
    async with host.serve(GazetteServer, context=make_context) as tab:
        reply = await tab.create("A puzzle, please", inference_options={"tool_choice": {"id": "puzzle"}})
        assert reply.text == "Which bakery moves?"
        nested = await tab.send(reply.thread_id, "And one about harbours")
        assert nested.text == "A puzzle: what freezes?"
        await check_reload(tab, reply.thread_id)
    puzzles = [request for request in upstream.requests if "You set a puzzle" in str(request.body)]
    assert len(puzzles) == 2


async def test_votes_reach_its_code(host: Host, upstream: OpenAIServer) -> None:
    server = GazetteServer()
    by_agent(upstream, Answer("Nothing."))
    async with host.serve(server, context=make_context) as tab:
        reply = await tab.create("What is new?")
        answer_id = reply.picture.items[-1]["id"]
        assert (await tab.feedback(reply.thread_id, [answer_id])).status == 200
        assert server.votes == [(answer_id, "positive")]
