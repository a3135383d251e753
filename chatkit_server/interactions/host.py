"""What the interactions use of the server. `run.server.ChatServer` implements it."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from agents import Agent, RunState
from chatkit.actions import Action
from chatkit.agents import ThreadItemConverter
from chatkit.store import Store
from chatkit.types import SyncCustomActionResponse, ThreadMetadata, ThreadStreamEvent, WidgetItem

from chatkit_store import SqlStore

from ..agent_context import AgentContext
from ..context import RequestContext
from ..files.user_files import UserFiles
from .saved_run import ResumableRun, SavedRun


class InteractionHost(Protocol):
    """Stores threads, answers actions, and resumes paused runs."""

    @property
    def store(self) -> Store[RequestContext]:
        """The store as chatkit knows it."""

    @property
    def sql_store(self) -> SqlStore[RequestContext]:
        """The same store, with the methods that chatkit's interface lacks."""

    @property
    def refuses_withdrawn_actions(self) -> bool:
        """Whether an action that its widget no longer offers is refused, without asking a handler."""

    @property
    def converter(self) -> ThreadItemConverter:
        """Converts thread items to model input."""

    @property
    def files_of(self) -> Callable[[RequestContext], UserFiles]:
        """Returns the files of a user."""

    async def open_context(self, thread: ThreadMetadata, context: RequestContext) -> AgentContext:
        """Return the context of a new turn."""

    async def find_starting_agent(self, name: str, context: RequestContext) -> Agent[Any] | None:
        """Return the agent that a run began with, as it is configured now, or None."""

    def resume(
        self, agent: Agent[Any], state: RunState[Any, Agent[Any]], context: AgentContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Resume a run that began with `agent`; `state` holds the decisions."""

    async def restore_recorded(self, saved: SavedRun, context: AgentContext) -> ResumableRun | None:
        """Return a paused run of a function's, or None if the function has changed."""

    def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer an action with a stream."""

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> SyncCustomActionResponse:
        """Answer an action with a single item."""
