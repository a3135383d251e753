"""Which agent answers a request: one for all, or one for each workflow id of the chat sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ..context import RequestContext
from ..errors.setup import AgentSetupError
from .context_function import ContextFunction
from .loading import AgentLike, AgentSource, load_agent

AgentChoice = AgentLike | Mapping[str, AgentLike | str]
"""What `create_app` takes: an agent or function for all requests, or several by workflow id, also by their names."""

ONLY = "default"
"""The workflow id of sessions that the server makes itself where one agent answers all."""


class UnknownWorkflow(AgentSetupError):
    """No agent has this workflow id."""


class AgentSources:
    """The agents by workflow id; without ids, one agent answers whatever the id is."""

    def __init__(self, sources: Mapping[str, AgentSource], *, is_mapping: bool) -> None:
        self._sources = sources
        self.is_mapping = is_mapping
        """Whether the workflow id of a session chooses."""

    @property
    def ids(self) -> Sequence[str]:
        """The workflow ids that exist."""
        return list(self._sources)

    @property
    def first_id(self) -> str:
        """The workflow id of the agent that answers without a session."""
        return self.ids[0]

    @property
    def first(self) -> AgentSource:
        """The agent that answers without a session."""
        return self._sources[self.first_id]

    def with_context(self, function: ContextFunction) -> "AgentSources":
        """Return the same agents, with this function making the contexts of all their runs."""
        sources = {id: replace(source, context=function) for id, source in self._sources.items()}
        return AgentSources(sources, is_mapping=self.is_mapping)

    def find(self, workflow_id: str) -> AgentSource:
        """Return the agent of a workflow. Raises `UnknownWorkflow`."""
        if not self.is_mapping:
            return self.first
        if (source := self._sources.get(workflow_id)) is None:
            similar = get_close_matches(workflow_id, self.ids, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"CHATKIT_AGENT has {', '.join(self.ids[:20])}."
            raise UnknownWorkflow(f"There is no workflow with this id; {hint}")
        return source

    def of(self, context: RequestContext) -> AgentSource:
        """Return the agent that answers a request. Raises `UnknownWorkflow` if its session names one that is gone."""
        return self.first if context.session is None else self.find(context.session.workflow_id)


def load_agents(agent: AgentChoice | str | None, *, tools: bool = True) -> AgentSources:
    """Return the sources of a single agent or of a mapping. Raises `AgentSetupError`; see `load_agent`."""
    if not isinstance(agent, Mapping):
        return AgentSources({ONLY: load_agent(agent, tools=tools)}, is_mapping=False)
    if not agent:
        raise AgentSetupError("The mapping of workflow ids to agents is empty.")
    return AgentSources({id: load_agent(entry, tools=tools) for id, entry in agent.items()}, is_mapping=True)
