"""Run a thread's agent, answer its actions, transcribe recordings."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, TypeVar

from agents import Agent, RunConfig, Runner, RunResultStreaming, RunState
from chatkit.actions import Action
from chatkit.agents import ThreadItemConverter
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AudioInput,
    FeedbackKind,
    StreamOptions,
    SyncCustomActionResponse,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetItem,
)

from ..agent_context import AgentContext, in_turn, unfinished_workflow
from ..agents.exported_workflow import ExportedWorkflow
from ..agents.prepare import limit_tools, require_tool, with_guardrails
from ..agents.reachable import find_agent
from ..agents.tool_failures import contain_tools
from ..composer.choices import NO_SELECTION, Choices, Selection
from ..composer.mentions import Mentions
from ..composer.offers import Features, Offers
from ..context import RequestContext
from ..conversion.outputs import OutputText
from ..conversion.readable import readable
from ..conversion.tool_display import ToolDisplay, ToolDisplays
from ..errors.http import NotAvailable
from ..fast_path.tap import TextSink, text_sink
from ..files.user_files import turn_files
from ..interactions.actions import ActionCall, ActionHandler, Actions
from ..interactions.saved_run import SavedRun
from ..loops import through_outage
from ..mcp import McpServers
from ..memory import Memory, turn_transcript
from ..memory.converter import SafeConverter, with_files, with_mentions
from ..memory.first_message import first_message
from ..memory.memory_cache import MemoryCache
from ..models.client.packed_items import unpacked
from ..models.usage import turn_usage
from ..recording.recorded_turn import RecordedTurn, can_resume
from ..recording.run_recording import RunRecording
from .author_runs import AuthorRuns
from .deadlines import Deadlines
from .dictation import dictate
from .direct_run import start_run
from .run_configs import RunConfigs, server_run_config
from .run_contexts import RunContexts
from .server_offers import offers_for
from .server_parts import ServerParts
from .stream import stream_agent_response
from .titles import GRACE_SECONDS, PendingTitle, TitleMaker, first_words, with_title
from .workflow_host import WorkflowHost

T = TypeVar("T")


class ChatServer(Mentions, RunContexts, ChatKitServer[RequestContext]):
    """Runs one agent for all threads. Subclass it to handle actions, to transcribe, or to respond differently.

    `respond` and `action` may yield any `ThreadStreamEvent`; the turn that reads them saves every item.
    """

    converter: ThreadItemConverter = SafeConverter()
    """Converts thread items to model input."""
    refuses_withdrawn_actions = True
    """Whether a click on an action that its widget no longer offers is refused, without asking its handler."""
    tool_displays: Mapping[str, ToolDisplay] = MappingProxyType({})
    """How to show tools that `shown_as` cannot decorate, by tool name."""

    def __init__(self, parts: ServerParts) -> None:
        super().__init__(parts.store, parts.attachment_store)
        settings = parts.settings
        self.sql_store = parts.store
        self.agents = parts.agents
        self.models = parts.models
        self.settings = settings
        self.files_of = parts.files_of
        self.generated_images = parts.generated_images
        self.memory_cache = MemoryCache(settings.history_cache_bytes)
        self.actions = Actions.of_methods(self)
        """Handlers by action type: methods marked with `on_action`, then those of the agent and of
        `create_app(actions=...)`."""
        if not parts.agents.is_mapping:  # else the agent that answers decides
            self.actions.include(parts.agents.first.actions)
        self.deadlines = Deadlines.of_settings(settings)
        self.displays = ToolDisplays(self.tool_displays) if settings.show_tools else None
        self.run_config = self.make_run_config()
        self._run_configs = RunConfigs(lambda: self.run_config)
        self.titles = self.make_titles()
        self.choices = Choices(settings.models, settings.tools)
        self.mcp = McpServers(settings.mcp_servers if parts.models.info.tools else {})

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run the agent on the thread and yield its events. Closing the iterator stops the run.

        Raises what the agent and its model raise; `errors.failures.to_turn_failure` turns it into a text for the user.
        """
        is_own = type(self).respond is ChatServer.respond  # else a subclass may change events, or the thread before
        if is_own and (first := first_message.get()) is not None and first.message.thread_id == thread.id:
            memory = Memory.of_first_message(first, self.sql_store, context, self.memory_cache)
        else:
            memory = await self._through_outage(lambda: self._load_memory(thread, context))
        agent_context = await self.open_context(thread, context)
        if input_user_message is None:
            agent_context.workflow_item = unfinished_workflow(memory.recent_items)
        selection = self.selection_for(input_user_message, memory.recent_items)
        sink = text_sink() if is_own else None
        title: PendingTitle | None = None  # that below, when the run looks at it: it begins as it is read
        if (workflow := self.agents.of(context).workflow) is not None:
            run = self._workflow_turn(workflow, memory, agent_context, selection, sink)
        else:
            run = await self._start_run(
                memory, agent_context, selection, sink, ends_turn=lambda: title is None or title.is_done
            )
        titles = self.titles
        title = (
            None
            if titles is None or memory.is_continued
            else titles.start(memory.recent_items, agent_context, selection.model)
        )
        del memory  # the thread's items, which this frame would keep until the answer ends
        async with aclosing(run if title is None else with_title(run, title)) as events:
            async for event in events:
                yield event

    async def _start_run(
        self,
        memory: Memory,
        agent_context: AgentContext,
        selection: Selection,
        sink: TextSink | None,
        *,
        ends_turn: Callable[[], bool],
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        context = agent_context.request_context
        agent = await self.load_agent(agent_context, selection, memory)
        agent_context.set_starting_agent(agent)
        is_own = type(self).load_input is ChatServer.load_input
        load = self._load_packed if is_own else self.load_input
        input = await self._through_outage(lambda: load(agent, selection, memory, context))
        config = self.run_config_for(selection, context)
        result = start_run(agent, input, agent_context, config, max_turns=self.settings.max_turns)
        return self._stream(agent_context, result, sink, ends_turn=ends_turn)

    def _workflow_turn(
        self,
        workflow: ExportedWorkflow,
        memory: Memory,
        agent_context: AgentContext,
        selection: Selection,
        sink: TextSink | None,
        recording: RunRecording | None = None,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of an exported workflow for the thread's last message; with a recording, those that follow
        it."""
        context, settings = agent_context.request_context, self.settings

        async def load(agent: Agent[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
            origin_of, converter = self._set_origin(selection), self._converter_for(context)
            return await self._through_outage(
                lambda: memory.split_input(converter, budget=settings.history_tokens, origin=origin_of(agent))
            )

        self._set_origin(selection)
        config = self.run_config_for(selection, context)
        host = WorkflowHost(
            agent_context,
            settings,
            config,
            lambda result, output_text: self._stream(agent_context, result, sink, output_text),
            load,
            self._output_text_for(context),
            AuthorRuns(config, settings, self.deadlines),
        )
        return host.call(workflow, memory.user_text, recording)

    async def find_starting_agent(self, name: str, context: RequestContext) -> Agent[Any] | None:
        """Return the agent that a run began with, as it is configured now, or None if it no longer exists."""
        return find_agent(await self.configured_agent(context), name)

    async def resume(
        self, agent: Agent[Any], state: RunState[Any, Agent[Any]], context: AgentContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Resume a run that paused for approvals and yield its events.

        `agent` is the agent that the run began with; `state` holds the decisions.
        """
        recent = await self._through_outage(
            lambda: self.sql_store.load_since_user(context.thread.id, context.request_context)
        )
        selection = self.selection_for(None, recent.items)
        self._set_origin(selection)
        context.set_starting_agent(agent)
        run_config = self.run_config_for(selection, context.request_context)
        result = in_turn(context).run(Runner.run_streamed, agent, state, run_config=run_config)
        async with aclosing(self._stream(context, result, None)) as events:
            async for event in events:
                yield event

    async def restore_recorded(self, saved: SavedRun, context: AgentContext) -> RecordedTurn | None:
        """Return a paused exported workflow, or None if the agent that waits has changed."""
        workflow = self.agents.of(context.request_context).workflow
        if workflow is None or not await can_resume(saved, workflow.agents, context):
            return None

        async def replay(recording: RunRecording) -> AsyncGenerator[ThreadStreamEvent, None]:
            thread, request_context = context.thread, context.request_context
            memory = await self._through_outage(
                lambda: Memory.load(self.sql_store, thread, request_context, self.memory_cache)
            )
            selection = self.selection_for(None, memory.recent_items)
            memory.leave_out_answer()  # the recorded runs contain it
            return self._workflow_turn(workflow, memory, context, selection, None, recording)

        return RecordedTurn(saved, replay)

    async def _load_memory(self, thread: ThreadMetadata, context: RequestContext) -> Memory:
        return await Memory.load(self.sql_store, thread, context, self.memory_cache)

    async def _through_outage(self, read: Callable[[], Awaitable[T]]) -> T:
        return await through_outage(read, self.settings.outage_seconds, "a turn's start")

    async def _stream(
        self,
        context: AgentContext,
        result: RunResultStreaming,
        sink: TextSink | None,
        output_text: OutputText | None = None,
        *,
        ends_turn: Callable[[], bool] | None = None,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yield the events of a run. Token usage is counted however the run ends.

        `ends_turn` as for `stream_agent_response`.
        """
        run = stream_agent_response(
            context,
            result,
            sink=sink,
            deadlines=self.deadlines,
            displays=self.displays,
            guardrails=len(self.run_config.input_guardrails or ()),
            output_text=output_text or self._output_text_for(context.request_context),
            ends_turn=ends_turn,
        )
        try:
            async with aclosing(run) as events:
                async for event in events:
                    yield event
        finally:
            if (usage := turn_usage.get()) is not None:
                usage.add(result)

    def output_text(self, output: Any) -> str | None:
        """Return what a user reads of an output other than text, such as that of an `output_type`; None for nothing.

        By default, this is what the function `output_text` beside the agent returns, else the data as Markdown.
        """
        return (self.agents.first.output_text or readable)(output)

    def _output_text_for(self, context: RequestContext) -> Callable[[Any], str | None]:
        """Return the method, if it is a subclass's own, or else the function beside the agent that answers."""
        if type(self).output_text is not ChatServer.output_text or not self.agents.is_mapping:
            return self.output_text
        return self.agents.of(context).output_text or readable

    def first_title(self, message: UserMessageItem, context: RequestContext) -> str | None:
        """Return the title that a new thread has until it gets another: the first words; None without titles."""
        return first_words(message) if context.session is None or context.session.has_titles else None

    @property
    def offers_attachments(self) -> bool:
        """Return whether the page may create attachments."""
        return self.attachment_store is not None

    @property
    def offers_dictation(self) -> bool:
        """Return whether a transcription model is configured, or a subclass implements `transcribe`."""
        return self.models.transcriber is not None or type(self).transcribe is not ChatServer.transcribe

    def offers(self, context: RequestContext) -> Offers:
        """Return what the page may offer this user. A subclass may remove entries."""
        features = Features(
            attachments=self.offers_attachments,
            dictation=self.offers_dictation,
            mentions=self.offers_mentions,
            mention_previews=self.offers_previews,
        )
        return offers_for(context, self.agents, self.choices, self.models.info, self.settings, features)

    async def load_agent(self, agent_context: AgentContext, selection: Selection, memory: Memory) -> Agent[Any]:
        """Return the agent for one run: the last to answer in the thread, or one that has the selected tool."""
        configured = await self.configured_agent(agent_context.request_context)
        name = memory.last_agent
        last = with_guardrails((find_agent(configured, name) if name else None) or configured, configured)
        if selection.tool is None:
            return last
        run_context = agent_context.run_context
        agent = await require_tool(last, selection.tool, run_context)
        return agent if agent is not last else await require_tool(configured, selection.tool, run_context)

    async def configured_agent(self, context: RequestContext) -> Agent[Any]:
        """Return the configured agent for this request, with a time limit on its tools and with the tools of connected
        MCP servers, which have their own limits."""
        agent = await self.agents.of(context).load(context)
        limit_tools(agent, self.settings.tool_call_seconds)
        agent = await self.mcp.with_tools(agent)
        contain_tools(agent)
        return agent

    async def load_input(
        self, agent: Agent[Any], selection: Selection, memory: Memory, context: RequestContext
    ) -> list[Any]:
        """Return the thread as input for the agent's model. Sets the origin of the turn's transcript."""
        return unpacked(await self._load_packed(agent, selection, memory, context))

    async def _load_packed(
        self, agent: Agent[Any], selection: Selection, memory: Memory, context: RequestContext
    ) -> list[Any]:
        origin_of, converter = self._set_origin(selection), self._converter_for(context)
        return await memory.packed_input(converter, budget=self.settings.history_tokens, origin=origin_of(agent))

    def _converter_for(self, context: RequestContext) -> ThreadItemConverter:
        """Return the converter that reads the user's files and mentions."""
        converter = with_mentions(self.converter, lambda mention: self.mention_text(mention, context))
        files = self.files_of(context)
        turn_files.set(files)
        return with_files(converter, files)

    def _set_origin(self, selection: Selection) -> Callable[[Agent[Any]], str | None]:
        """Return a function from agent to the origin of its answers in this turn, and set it on the transcript."""

        def origin_of(agent: Agent[Any]) -> str | None:
            return self.models.origin(agent, selection.model)

        if (transcript := turn_transcript.get()) is not None:
            transcript.origin_of = origin_of
            transcript.model_of = lambda agent: self.models.name_for(agent, selection.model)
        return origin_of

    def selection_for(self, message: UserMessageItem | None, items: Sequence[ThreadItem] = ()) -> Selection:
        """Return the model and tool that the message selects; they were validated when it arrived.

        Without a new message (a resumed run), return the model of the last message in `items`, and no tool.
        """
        if message is not None:
            return self.choices.still_offered(message.inference_options)
        last = next((item for item in reversed(items) if isinstance(item, UserMessageItem)), None)
        return Selection(self.choices.still_offered(last.inference_options).model) if last is not None else NO_SELECTION

    def run_config_for(self, selection: Selection, context: RequestContext) -> RunConfig:
        """Return `run_config` with what the message and the session of the request choose, see `RunConfigs.select`."""
        return self._run_configs.select(selection.model, is_traced=self.allows_traces(context))

    def allows_traces(self, context: RequestContext) -> bool:
        """Return whether the request may leave traces: those of our runs, and those of the author's code."""
        return not self.run_config.tracing_disabled and (context.session is None or context.session.has_tracing)

    def make_titles(self, *, grace: float = GRACE_SECONDS) -> TitleMaker | None:
        """Return what names new threads, or None without titles; an answer waits `grace` seconds for its own."""
        return TitleMaker.of_settings(self.sql_store, self.models, self.settings, grace=grace)

    def make_run_config(self) -> RunConfig:
        """Return the configuration of all runs."""
        return server_run_config(self.models, tracing=self.settings.tracing)

    def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer an action of a widget or of the page with the handler for its type.

        Raises immediately, before the iterator is read: `NotAvailable` if the type has no handler, `InvalidParams` if
        the payload is invalid.
        """
        return self._handler_of(action, context).stream(ActionCall(action, thread, sender, context, self))

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        """Answer an action with a single item. Raises as `action` does."""
        return await self._handler_of(action, context).answer(ActionCall(action, thread, sender, context, self))

    def _handler_of(self, action: Action[str, Any], context: RequestContext) -> ActionHandler:
        handler = self.actions.find(action.type)
        if handler is None and self.agents.is_mapping:
            handler = self.agents.of(context).actions.find(action.type)
        if handler is None:
            raise NotAvailable(f"This server has no handler for the action “{action.type}”.")
        return handler

    async def load_stream_options(self, thread: ThreadMetadata, context: RequestContext) -> StreamOptions:
        """Return what `get_stream_options` returns. A subclass may have to wait for it."""
        return self.get_stream_options(thread, context)

    async def transcribe(self, audio_input: AudioInput, context: RequestContext) -> TranscriptionResult:
        """Return the text of a recording. Requires CHATKIT_TRANSCRIPTION_MODEL. Raises as `dictation.dictate` does."""
        if self.models.transcriber is None:
            return await super().transcribe(audio_input, context)
        return await dictate(self.models.transcriber, audio_input, self.settings.transcription_max_bytes)

    async def add_attachment(
        self, files: AttachmentStore[RequestContext], input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        """Return the attachment of a new upload, for which the client then sends the bytes."""
        attachment = await files.create_attachment(input, context)
        await self.store.save_attachment(attachment, context)
        return attachment

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        """Store one vote per item. Raises `chatkit.store.NotFoundError` for an item of another thread (T39)."""
        await self.sql_store.add_feedback(thread_id, item_ids, feedback, context)


ServerFactory = Callable[[ServerParts], ChatServer]
"""`ChatServer`, a subclass of it, or a function that returns one."""
