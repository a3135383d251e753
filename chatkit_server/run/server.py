"""The ChatKit server: how a thread is answered. What a request goes through before and after is not its business."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from agents import Agent, RunConfig, Runner, RunResultStreaming, RunState
from chatkit.actions import Action
from chatkit.agents import ThreadItemConverter
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    AudioInput,
    FeedbackKind,
    SyncCustomActionResponse,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetItem,
)

from chatkit_store import SqlStore

from ..agent_context import AgentContext, unfinished_workflow
from ..agents.loading import AgentSource
from ..agents.prepare import find_agent, limit_tools, log_tool_failure, require_tool, with_guardrails
from ..composer.choices import NO_SELECTION, Choices, Selection
from ..composer.mentions import Mentions
from ..composer.offers import Features, OfferedAttachments, Offers, offered_model, offered_tool
from ..composer.prompts import prompts_for
from ..context import RequestContext
from ..conversion.tool_display import ToolDisplay, ToolDisplays
from ..errors.http import NotAvailable
from ..files.generated_images import GeneratedImages
from ..files.user_files import UserFiles, turn_files
from ..interactions.actions import ActionCall, ActionHandler, Actions
from ..mcp import McpServers
from ..memory import Memory, turn_transcript
from ..memory.converter import SafeConverter, with_files, with_mentions
from ..models import Models
from ..models.tap import TextSink, text_sink
from ..models.usage import turn_usage
from ..settings import Settings
from .deadlines import Deadlines
from .dictation import dictate
from .stream import stream_agent_response
from .titles import GRACE_SECONDS, PendingTitle, TitleMaker


@dataclass(frozen=True, kw_only=True)
class ServerParts:
    """What `create_app` builds a server from. A subclass with its own constructor passes it on."""

    store: SqlStore[RequestContext]
    agent: AgentSource
    models: Models
    settings: Settings
    attachment_store: AttachmentStore[RequestContext] | None
    """None if attachments are switched off."""
    files_of: Callable[[RequestContext], UserFiles]
    """Returns the files of a user, for the model."""
    generated_images: GeneratedImages
    """Stores the images that models draw."""


class ChatServer(Mentions, ChatKitServer[RequestContext]):
    """Runs one agent for all threads. Subclass it to answer actions, to transcribe, or to respond in another way.

    `respond` and `action` may yield any `ThreadStreamEvent`; the turn that reads them saves every item.
    """

    converter: ThreadItemConverter = SafeConverter()
    """Converts thread items to model input."""
    tool_displays: Mapping[str, ToolDisplay] = MappingProxyType({})
    """How to show tools that `shown_as` cannot decorate, by tool name."""

    def __init__(self, parts: ServerParts) -> None:
        super().__init__(parts.store, parts.attachment_store)
        settings = parts.settings
        self.sql_store = parts.store
        self.agent = parts.agent
        self.models = parts.models
        self.settings = settings
        self.files_of = parts.files_of
        self.generated_images = parts.generated_images
        self.actions = Actions.of_methods(self)
        """Handlers by action type: methods marked with `on_action`, then those of the agent."""
        self.actions.include(parts.agent.actions)
        self.deadlines = Deadlines(
            first_event=settings.first_event_seconds,
            silence=settings.silence_seconds,
            tool=settings.tool_seconds,
            stop=settings.stop_seconds,
        )
        self.displays = ToolDisplays(self.tool_displays) if settings.show_tools else None
        # Built once: the Agents SDK resolves the type hints of all its fields each time it makes one.
        self.run_config = self.make_run_config()
        self._run_configs: dict[str, RunConfig] = {}
        self.titles = self.make_titles()
        self.choices = Choices(settings.models, settings.tools)
        self.mcp = McpServers(settings.mcp_servers if parts.models.info.tools else {})

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Runs the agent on the whole thread. Closing the iterator stops the run.

        Raises what the agent and its model raise; `failures.to_turn_failure` has the words for it.
        """
        memory = await Memory.load(self.sql_store, thread, context)
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        if input_user_message is None:
            agent_context.workflow_item = unfinished_workflow(memory.recent_items)
        chosen = self.chosen_for(input_user_message, memory.recent_items)
        agent = await self.load_agent(agent_context, chosen, memory)
        agent_context.set_starting_agent(agent)
        result = Runner.run_streamed(
            agent,
            await self.load_input(agent, chosen, memory, context),
            context=agent_context,
            max_turns=self.settings.max_turns,
            run_config=self.run_config_for(chosen),
        )
        title = self._begin_title(memory, agent_context, chosen)
        sink = text_sink.get() if type(self).respond is ChatServer.respond else None
        async with aclosing(self._stream(agent_context, result, sink, title)) as events:
            async for event in events:
                yield event

    async def find_starting_agent(self, name: str, context: RequestContext) -> Agent[Any] | None:
        """The agent that a run began with, as it is now; None where it is gone."""
        return find_agent(await self.configured_agent(context), name)

    async def resume(
        self, agent: Agent[Any], state: RunState[Any, Agent[Any]], context: AgentContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Runs on from where a run that began with `agent` waited for an approval; `state` holds what was decided."""
        recent = await self.sql_store.load_since_user(context.thread.id, context.request_context)
        chosen = self.chosen_for(None, recent.items)
        self._note_origin(chosen)
        context.set_starting_agent(agent)
        result = Runner.run_streamed(agent, state, run_config=self.run_config_for(chosen))
        async with aclosing(self._stream(context, result, None, None)) as events:
            async for event in events:
                yield event

    async def _stream(
        self, context: AgentContext, result: RunResultStreaming, sink: TextSink | None, title: PendingTitle | None
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """A run's events, then what is left of naming the thread; what the run used is counted however it ends."""
        run = stream_agent_response(
            context,
            result,
            sink=sink,
            deadlines=self.deadlines,
            displays=self.displays,
            guardrails=len(self.run_config.input_guardrails or ()),
        )
        try:
            async with aclosing(run) as events:
                async for event in events:
                    yield event
            if title is not None:
                async for renamed in title.wait():
                    yield renamed
        finally:
            if (usage := turn_usage.get()) is not None:
                usage.add(result)
            if title is not None:
                await title.close()

    def _begin_title(self, memory: Memory, agent_context: AgentContext, chosen: Selection) -> PendingTitle | None:
        return self.titles.start(memory.recent_items, agent_context, chosen.model) if self.titles else None

    @property
    def offers_dictation(self) -> bool:
        """By a model of the settings, or by a `transcribe` of the subclass."""
        return self.models.transcriber is not None or type(self).transcribe is not ChatServer.transcribe

    def offers(self, context: RequestContext) -> Offers:
        """What the page of this user may offer; a subclass may leave things out."""
        default_prompts = prompts_for(self.models.info.provider, is_default_agent=self.agent.is_default)
        prompts = self.settings.prompts
        return Offers(
            models=[offered_model(choice) for choice in self.choices.models],
            tools=[offered_tool(choice) for choice in self.choices.tools],
            prompts=list(default_prompts) if prompts is None else prompts,
            attachments=self._offered_attachments(),
            features=Features(
                attachments=self.attachment_store is not None,
                dictation=self.offers_dictation,
                mentions=self.offers_mentions,
                mention_previews=self.offers_previews,
            ),
        )

    def _offered_attachments(self) -> OfferedAttachments | None:
        if self.attachment_store is None:
            return None
        settings = self.settings
        return OfferedAttachments(max_size=settings.attachment_max_bytes, max_count=settings.attachments_per_message)

    async def load_agent(self, agent_context: AgentContext, chosen: Selection, memory: Memory) -> Agent[Any]:
        """The agent for one run: the one that spoke last, and one that has it where a tool was chosen."""
        configured = await self.configured_agent(agent_context.request_context)
        name = memory.last_agent
        last = with_guardrails((find_agent(configured, name) if name else None) or configured, configured)
        if chosen.tool is None:
            return last
        agent = await require_tool(last, chosen.tool, agent_context)
        return agent if agent is not last else await require_tool(configured, chosen.tool, agent_context)

    async def configured_agent(self, context: RequestContext) -> Agent[Any]:
        """The agent of the settings for this request, with a limit for each call of its tools, and with those of the
        MCP servers that are there, whose calls have limits of their own."""
        agent = await self.agent.load(context)
        limit_tools(agent, self.settings.tool_call_seconds)
        return await self.mcp.equip(agent)

    async def load_input(
        self, agent: Agent[Any], chosen: Selection, memory: Memory, context: RequestContext
    ) -> list[Any]:
        """What the agent's model reads of the thread; also says where this turn's own transcript comes from."""
        origin_of = self._note_origin(chosen)
        budget = self.settings.history_tokens
        converter = with_mentions(self.converter, lambda mention: self.mention_text(mention, context))
        files = self.files_of(context)
        turn_files.set(files)
        converter = with_files(converter, files)
        return await memory.model_input(converter, budget=budget, origin=origin_of(agent))

    def _note_origin(self, chosen: Selection) -> Callable[[Agent[Any]], str | None]:
        """Where an agent's answers come from in this turn; its transcript gets to know it."""

        def origin_of(agent: Agent[Any]) -> str | None:
            return self.models.origin(agent, chosen.model)

        if (transcript := turn_transcript.get()) is not None:
            transcript.origin_of = origin_of
            transcript.model_of = lambda agent: self.models.name_for(agent, chosen.model)
        return origin_of

    def chosen_for(self, message: UserMessageItem | None, items: Sequence[ThreadItem] = ()) -> Selection:
        """What the message chose, which was checked when it came; where a run goes on without a new one, the model
        of the last one in `items`."""
        if message is not None:
            return self.choices.still_offered(message.inference_options)
        last = next((item for item in reversed(items) if isinstance(item, UserMessageItem)), None)
        return Selection(self.choices.still_offered(last.inference_options).model) if last is not None else NO_SELECTION

    def run_config_for(self, chosen: Selection) -> RunConfig:
        """`run_config`, with the chosen model for all agents of the run."""
        if chosen.model is None:
            return self.run_config
        if chosen.model not in self._run_configs:
            # By its name: the Agents SDK then gives it the settings that fit it, where the agent says nothing.
            self._run_configs[chosen.model] = replace(self.run_config, model=chosen.model)
        return self._run_configs[chosen.model]

    def make_titles(self, *, grace: float = GRACE_SECONDS) -> TitleMaker | None:
        """Return what names new threads, or None if titles are off or the provider cannot write them.

        `grace`, in seconds, is how long a complete answer waits for its title.
        """
        info, settings = self.models.info, self.settings
        if not settings.titles or info.provider in {"demo", "embedded"}:
            return None
        return TitleMaker(
            self.sql_store,
            self.models.provider,
            model=settings.title_model,
            default_model=info.name,
            seconds=settings.title_seconds,
            grace=grace,
        )

    def make_run_config(self) -> RunConfig:
        """Which models the agent gets, and that nothing is uploaded as a trace unless asked for (T44)."""
        return RunConfig(
            model_provider=self.models.provider,
            model_settings=self.models.model_settings,
            tracing_disabled=not self.settings.tracing,
            tool_error_formatter=log_tool_failure,
        )

    def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers an action of a widget or of the page, by the handler that `actions` has for its type.

        Raises at once, before anything is streamed: `NotAvailable` for a type that nobody answers, `InvalidParams` for
        a payload that does not fit.
        """
        return self._handler_of(action).stream(ActionCall(action, thread, sender, context, self))

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        """As `action`, for one that answers with a single item."""
        return await self._handler_of(action).answer(ActionCall(action, thread, sender, context, self))

    def _handler_of(self, action: Action[str, Any]) -> ActionHandler:
        if (handler := self.actions.find(action.type)) is None:
            raise NotAvailable(f"This server has no handler for the action “{action.type}”.")
        return handler

    async def transcribe(self, audio_input: AudioInput, context: RequestContext) -> TranscriptionResult:
        """Turns dictation into text, where CHATKIT_TRANSCRIPTION_MODEL is set; see `dictation.dictate`."""
        if self.models.transcriber is None:
            return await super().transcribe(audio_input, context)
        return await dictate(self.models.transcriber, audio_input, context, self.settings.transcription_max_bytes)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        """Stores one vote for each item. Raises `chatkit.store.NotFoundError` for an item of another thread (T39)."""
        await self.sql_store.add_feedback(thread_id, item_ids, feedback, context)


ServerFactory = Callable[[ServerParts], ChatServer]
