"""A newspaper's reader desk: progress, a title agent beside the answer, a choice of agents, a context of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from agents import Agent, RunContextWrapper, Runner, StopAtTools, function_tool
from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    Action,
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    FeedbackKind,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdated,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WidgetRootUpdated,
)
from chatkit.widgets import DynamicWidgetRoot
from fastapi import Request
from openai.types.responses import ResponseInputContentParam, ResponseInputTextParam
from openai.types.responses.response_input_item_param import Message
from pydantic import BaseModel, ConfigDict, Field

from .memory_store import MemoryStore

OPEN_ARTICLE = "article.open"
MORE_ABOUT = "article.more"


class Article(BaseModel):
    id: str
    title: str
    text: str


ARTICLES = {
    "harbour": Article(id="harbour", title="The harbour freezes over", text="For the first time in forty years."),
    "bakery": Article(id="bakery", title="A bakery moves", text="Across the street, to a larger oven."),
}


class RequestContext(BaseModel):
    """What the endpoint of this server makes of a request."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    request: Request
    article_id: str | None = None


def make_context(request: Request) -> RequestContext:
    return RequestContext(request=request, article_id=request.headers.get("article-id"))


class ReaderContext(AgentContext):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    store: Annotated[MemoryStore, Field(exclude=True)]
    request_context: Annotated[RequestContext, Field(exclude=True)]


class ArticleResult(BaseModel):
    article: Article


@function_tool(description_override="Search articles by a word of their titles.")
async def search_articles(ctx: RunContextWrapper[ReaderContext], word: str) -> list[Article]:
    await ctx.context.stream(ProgressUpdateEvent(text=f"Searching for {word}"))
    matches = [article for article in ARTICLES.values() if word.lower() in article.title.lower()]
    await ctx.context.stream(ProgressUpdateEvent(icon="check", text=f"{len(matches)} articles"))
    return matches


@function_tool(description_override="Load the article that the reader has open.")
async def open_article(ctx: RunContextWrapper[ReaderContext]) -> ArticleResult:
    article_id = ctx.context.request_context.article_id
    if article_id is None:
        raise ValueError("No article is open.")
    await ctx.context.stream(ProgressUpdateEvent(text="Reading the page"))
    await ctx.context.store.add_thread_item(
        ctx.context.thread.id,
        HiddenContextItem(
            id=ctx.context.generate_id("message"),
            thread_id=ctx.context.thread.id,
            created_at=datetime.now(),
            content={"read": article_id},
        ),
        ctx.context.request_context,
    )
    return ArticleResult(article=ARTICLES[article_id])


@function_tool(description_override="Show a list of articles, with a message.")
async def show_articles(ctx: RunContextWrapper[ReaderContext], article_ids: list[str], message: str) -> None:
    context = ctx.context
    await context.stream(
        ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=context.generate_id("message"),
                thread_id=context.thread.id,
                created_at=datetime.now(),
                content=[AssistantMessageContent(text=message)],
            )
        )
    )
    await context.stream_widget(build_list(article_ids))


@function_tool(needs_approval=True, description_override="Subscribe the reader to the paper.")
async def subscribe(ctx: RunContextWrapper[ReaderContext], months: int) -> str:
    subscriptions.append(months)
    return f"subscribed for {months} months"


subscriptions: list[int] = []


def build_list(article_ids: list[str], opened: str | None = None) -> DynamicWidgetRoot:
    rows = []
    for article in (ARTICLES[article_id] for article_id in article_ids):
        text = [{"type": "Text", "value": article.text}] if article.id == opened else []
        payload = {"id": article.id, "ids": article_ids}
        rows.append(
            {
                "type": "ListViewItem",
                "key": article.id,
                "onClickAction": {"type": MORE_ABOUT, "payload": payload, "handler": "server"},
                "children": [{"type": "Text", "value": article.title, "weight": "bold"}, *text],
            }
        )
    return DynamicWidgetRoot.model_validate({"type": "ListView", "children": rows})


puzzle_agent = Agent[ReaderContext](
    name="Puzzle keeper", model="gpt-4.1-mini", instructions="You set a puzzle about the news."
)
title_agent = Agent(
    name="Headlines", model="gpt-5-nano", instructions="Write a title of at most four words for the reader's message."
)
reader_agent = Agent[ReaderContext](
    name="Reader desk",
    model="gpt-4.1-mini",
    instructions="You help readers find articles.",
    tools=[
        search_articles,
        open_article,
        show_articles,
        subscribe,
        puzzle_agent.as_tool(tool_name="set_a_puzzle", tool_description="Ask the puzzle keeper for a puzzle."),
    ],
    tool_use_behavior=StopAtTools(stop_at_tool_names=[show_articles.name]),
)


class GazetteConverter(ThreadItemConverter):
    async def hidden_context_to_input(self, item: HiddenContextItem) -> Message:
        text = f"<READ>{item.content['read']}</READ>"
        return Message(type="message", role="user", content=[ResponseInputTextParam(type="input_text", text=text)])

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputTextParam:
        text = f"<ARTICLE>{ARTICLES[tag.id].text}</ARTICLE>"
        return ResponseInputTextParam(type="input_text", text=text)


class GazetteServer(ChatKitServer[RequestContext]):
    """The server of the reader desk."""

    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        super().__init__(self.store)
        self.converter = GazetteConverter()
        self.title_agent = title_agent
        self.votes: list[tuple[str, FeedbackKind]] = []

    async def respond(
        self, thread: ThreadMetadata, item: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        updating_title = asyncio.create_task(self._update_title(thread, item))
        page = await self.store.load_thread_items(thread.id, after=None, limit=20, order="desc", context=context)
        input_items = await self.converter.to_agent_input(list(reversed(page.data)))

        agent = self._select_agent(item)
        agent_context = ReaderContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(agent, input_items, context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event
        await updating_title

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        if action.type == OPEN_ARTICLE:
            article = ARTICLES[action.payload["id"]]
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(
                    id=self.store.generate_item_id("message", thread, context),
                    thread_id=thread.id,
                    created_at=datetime.now(),
                    content=[AssistantMessageContent(text=f"You opened _{article.title}_. Any questions?")],
                )
            )
        elif action.type == MORE_ABOUT and sender is not None:
            yield ProgressUpdateEvent(text="Unfolding")
            yield ThreadItemUpdated(
                item_id=sender.id,
                update=WidgetRootUpdated(widget=build_list(action.payload["ids"], opened=action.payload["id"])),
            )

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        self.votes += [(item_id, feedback) for item_id in item_ids]

    async def to_message_content(self, _input: Attachment) -> ResponseInputContentParam:
        raise RuntimeError("The reader desk takes no files.")

    async def _update_title(self, thread: ThreadMetadata, message: UserMessageItem | None) -> None:
        if message is None or thread.title is not None:
            return
        run = await Runner.run(self.title_agent, input=await self.converter.to_agent_input(message))
        title: str = run.final_output
        thread.title = title.strip().rstrip(".")

    def _select_agent(self, item: UserMessageItem | None) -> Agent[ReaderContext]:
        tool_choice = item.inference_options.tool_choice if item is not None else None
        return puzzle_agent if tool_choice is not None and tool_choice.id == "puzzle" else reader_agent
