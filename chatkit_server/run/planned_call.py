"""Plan the first model call of a run as the Runner would make it, if our making it cannot make a difference."""

import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from operator import attrgetter
from types import MethodType
from typing import Any, cast
from weakref import WeakKeyDictionary

from agents import (
    Agent,
    FunctionTool,
    Model,
    ModelSettings,
    ModelTracing,
    RunConfig,
    Runner,
    RunResultStreaming,
    Tool,
    Usage,
)
from agents.items import TResponseStreamEvent
from agents.run import AgentRunner, get_default_agent_runner
from openai.types.responses import Response

from ..agents.turn_runner import TurnRunner
from ..models.client.wire_items import FittedItems
from ..models.endpoint import EndpointProvider

try:  # what the Runner itself uses
    from agents.run_internal.items import deduplicate_input_items_preferring_latest, prepare_model_input_items
    from agents.run_internal.prompt_cache_key import PromptCacheKeyResolver, model_settings_with_prompt_cache_key
    from agents.run_internal.turn_preparation import get_model_settings
    from agents.usage import _response_usage_to_usage
except ImportError:  # private names: without them, every run is the Runner's
    HAS_RUNNER_PARTS = False
else:
    HAS_RUNNER_PARTS = True

# Fields that may have any value. All others, also those of a later version, must have their defaults.
_FREE_OF_AGENT = frozenset(
    {
        *("name", "handoff_description", "tools", "mcp_config", "instructions", "model", "model_settings"),
        *("output_type", "tool_use_behavior", "reset_tool_choice"),
    }
)
_FREE_OF_CONFIG = frozenset(
    {
        *("model", "model_provider", "model_settings", "tracing_disabled", "tracing", "trace_include_sensitive_data"),
        *("workflow_name", "trace_id", "group_id", "trace_metadata", "tool_error_formatter", "tool_execution"),
        *("tool_not_found_behavior", "nest_handoff_history", "handoff_input_filter", "handoff_history_mapper"),
    }
)
_PLAIN_AGENT, _PLAIN_CONFIG = Agent[Any](name=""), RunConfig()
_fixed_of_agent = attrgetter(*(field.name for field in fields(Agent) if field.name not in _FREE_OF_AGENT))
_fixed_of_config = attrgetter(*(field.name for field in fields(RunConfig) if field.name not in _FREE_OF_CONFIG))
_DEFAULTS_OF_AGENT, _DEFAULTS_OF_CONFIG = _fixed_of_agent(_PLAIN_AGENT), _fixed_of_config(_PLAIN_CONFIG)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """The first model call of a run, as the Runner would make it."""

    model: Model
    instructions: str | None
    settings: ModelSettings
    tools: list[Tool]
    cache_key: str | None
    """The prompt cache key that the Runner would generate for this run."""

    @property
    def takes_packed(self) -> bool:
        """Whether the input may have stand-ins for messages."""
        return bool(getattr(self.model, "takes_packed", False))

    def stream(self, input: list[Any]) -> AsyncIterator[TResponseStreamEvent]:
        """Call the model with this input."""
        items = input
        if not (isinstance(input, FittedItems) and input.are_messages):
            items = deduplicate_input_items_preferring_latest(prepare_model_input_items(input))
            if isinstance(input, FittedItems):  # these only leave items out
                items = FittedItems(items, is_packed=input.is_packed)
        settings = model_settings_with_prompt_cache_key(self.settings, self.cache_key)
        if (stream_text := getattr(self.model, "stream_text", None)) is not None:
            events: AsyncIterator[TResponseStreamEvent] = stream_text(self.instructions, items, settings, self.tools)
            return events
        return self.model.stream_response(
            self.instructions,
            items,
            settings,
            self.tools,
            None,
            [],
            ModelTracing.DISABLED,
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )

    def keep_cache_key(self, run: RunResultStreaming) -> None:
        """Let later calls of the run use the same key, as calls of one run do."""
        state = getattr(run, "_state", None)
        if state is not None and self.cache_key is not None:
            state._generated_prompt_cache_key = self.cache_key


def usage_of(response: Response) -> Usage:
    """Return the usage of a call as the Runner counts it."""
    return Usage() if response.usage is None else _response_usage_to_usage(response.usage)


def plan_call(agent: Agent[Any], config: RunConfig) -> PlannedCall | None:
    """Return the call that a run begins with, or None if only the Runner can make it.

    That is so if code of the author's runs before or after the call (functions for instructions or tools, hooks,
    guardrails, filters, models, wrappers of the Runner), if the call is more than text and functions, and without the
    fast path.
    """
    provider = config.model_provider
    is_plain = (
        HAS_RUNNER_PARTS
        and config.tracing_disabled
        and type(provider) is EndpointProvider
        and provider.is_tapped
        and type(agent) is Agent
        and isinstance(agent.instructions, str | None)
        and isinstance(agent.model, str | None)
        and isinstance(config.model, str | None)
        and agent.output_type in (None, str)
        and _fixed_of_agent(agent) == _DEFAULTS_OF_AGENT
        and _fixed_of_config(config) == _DEFAULTS_OF_CONFIG
        and all(map(_is_plain_tool, agent.tools))
        and len({tool.name for tool in agent.tools}) == len(agent.tools)
        and _has_stock_runner()
    )
    if not is_plain:
        return None
    settings = _settings(agent, config)
    if settings.retry is not None or settings.timeout is not None or settings.preserve_raw_usage:
        return None
    model = provider.get_model(cast(str | None, config.model or agent.model))
    cache_key = _cache_key(settings, model, config)
    return PlannedCall(model, cast(str | None, agent.instructions), settings, list(agent.tools), cache_key)


def _is_plain_tool(tool: Tool) -> bool:
    return (
        type(tool) is FunctionTool
        and tool.is_enabled is True
        and not tool.defer_loading
        and getattr(tool, "_tool_namespace", None) is None
    )


def _has_stock_runner() -> bool:
    """Return whether `Runner.run_streamed` is the Agents SDK's own, apart from ours for an author's code.

    Tools that monitor an application replace it or wrap it, to see each run.
    """
    runner = get_default_agent_runner()
    stock = runner.other if isinstance(runner, TurnRunner) else runner
    return type(stock) is AgentRunner and all(
        _is_written_in_runners(way.run_streamed) for way in (Runner, runner, stock)
    )


_RUNNERS = frozenset({AgentRunner.__module__, TurnRunner.__module__})


def _is_written_in_runners(method: object) -> bool:
    """Return whether the code of a method is from the module of a runner, whatever a wrapper of it says."""
    return type(method) is MethodType and method.__func__.__globals__["__name__"] in _RUNNERS


_keyless: WeakKeyDictionary[Model, ModelSettings] = WeakKeyDictionary()
"""Models for which the Runner generates no key with these settings."""


def _cache_key(settings: ModelSettings, model: Model, config: RunConfig) -> str | None:
    """Return the key of the call. That a model gets none depends on its endpoint, whose URL takes 30 µs to parse."""
    if _keyless.get(model) is settings:
        return None
    key = PromptCacheKeyResolver().resolve(
        settings, model=model, conversation_id=None, session=None, group_id=config.group_id
    )
    if key is None:
        _keyless[model] = settings
    return key


_resolved: dict[tuple[str | None, str | None, int], tuple[ModelSettings, RunConfig, ModelSettings]] = {}
"""The settings of the last call for each model: those of the agent, as a copy, and what became of them."""
MAX_RESOLVED = 64


def _settings(agent: Agent[Any], config: RunConfig) -> ModelSettings:
    """Return the settings of the call. They take 40 µs to resolve, and nearly never change."""
    key = (agent.model if isinstance(agent.model, str) else None, cast(str | None, config.model), id(config))
    last = _resolved.get(key)
    if last is not None and last[1] is config and last[0] == agent.model_settings:
        return last[2]
    settings = get_model_settings(agent, config)
    if settings is agent.model_settings:  # which its author may change: others compare what was resolved by identity
        settings = copy.copy(settings)
    if len(_resolved) >= MAX_RESOLVED:
        _resolved.clear()
    _resolved[key] = (copy.deepcopy(agent.model_settings), config, settings)
    return settings
