"""The context of a run: `AgentContext`, or what the author makes in its place."""

import inspect
from typing import Any

from chatkit.store import Store
from chatkit.types import ThreadMetadata

from ..agent_context import AgentContext
from ..agents.workflows import AgentSources
from ..context import RequestContext
from ..errors.setup import AgentSetupError


class RunContexts:
    """The methods of `ChatServer` that make the context of a run."""

    agents: AgentSources
    store: Store[RequestContext]

    def agent_context(self, thread: ThreadMetadata, context: RequestContext) -> Any:
        """Return what tools, guardrails, instructions and handlers of actions get as their context; may be async.

        A subclass returns a new `AgentContext`, also of a subclass with more fields, or any other object. Called for
        each turn, for each decision that resumes a run, and for each action whose handler asks for it. By default, this
        is what the function `context` beside the agent returns, else an `AgentContext`.
        """
        function = self.agents.of(context).context
        if function is not None:
            return function.make(thread, context, self.store)
        return AgentContext(thread=thread, store=self.store, request_context=context)

    async def open_context(self, thread: ThreadMetadata, context: RequestContext) -> AgentContext:
        """Return the context of a new turn; its `run_context` is what `agent_context` made.

        Raises what that raises, and `AgentSetupError` if it returned None, or an `AgentContext` for the second time.
        """
        own = self.agent_context(thread, context)
        if inspect.isawaitable(own):
            own = await own
        if own is None:
            raise AgentSetupError("The context function returned None, not a context for the agent.")
        if isinstance(own, AgentContext):
            if not own.take():
                name = type(own).__name__
                raise AgentSetupError(f"The context function returned the same {name} twice; make one for each turn.")
            own.thread, own.store, own.request_context = thread, self.store, context
            return own
        turn = AgentContext(thread=thread, store=self.store, request_context=context)
        turn.carry(own)
        return turn
