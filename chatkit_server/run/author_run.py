"""Start a run of an author's code with the server's models, limits and tracing, as far as the code has no own wish."""

import inspect
from dataclasses import replace
from typing import Any, TypeVar

from agents import Agent, ModelProvider, MultiProvider, OpenAIProvider, RunConfig, RunResultStreaming
from agents.models._openai_shared import get_default_openai_client
from agents.run import DEFAULT_MAX_TURNS, AgentRunner
from agents.run_config import CallModelData, CallModelInputFilter, ModelInputData

from ..agents.turn_runner import RunInput, RunOptions
from ..exports.run_host import Completion

T = TypeVar("T")

_RUNNER = AgentRunner()


def start_author_run(
    agent: Agent[Any],
    input: RunInput,
    options: RunOptions,
    *,
    config: RunConfig,
    max_turns: int,
    before_model: Completion | None = None,
) -> RunResultStreaming:
    """Start a streamed run. `options` are those that the code gave to `Runner.run`, `config` is the server's.

    `before_model` completes the input of each model call, before a filter of the author's own sees it.
    """
    merged = merged_config(options.get("run_config"), config)
    if before_model is not None:
        merged = replace(merged, call_model_input_filter=_filter(before_model, merged.call_model_input_filter))
    options = {**options, "run_config": merged}
    if options.get("max_turns", DEFAULT_MAX_TURNS) == DEFAULT_MAX_TURNS:  # the SDK fills in its own default
        options["max_turns"] = max_turns
    return _RUNNER.run_streamed(agent, input, **options)


def _filter(complete: Completion, own: CallModelInputFilter | None) -> CallModelInputFilter:
    async def filter_input(data: CallModelData[Any]) -> ModelInputData:
        items = await complete(data.agent, data.model_data.input)
        completed = replace(data, model_data=replace(data.model_data, input=items))
        filtered = completed.model_data if own is None else own(completed)
        return await filtered if inspect.isawaitable(filtered) else filtered

    return filter_input


def merged_config(own: RunConfig | dict[str, Any] | None, config: RunConfig) -> RunConfig:
    """Return the author's configuration with the server's where the author's says nothing.

    A provider that the author chose stays, also one that is chosen by `set_default_openai_client`. Traces are uploaded
    only if both allow it.
    """
    if own is None:
        return config if get_default_openai_client() is None else replace(config, model_provider=MultiProvider())
    if own is config:
        return config
    if isinstance(own, dict):
        own = RunConfig(**own)
    settings = config.model_settings
    return replace(
        own,
        model=own.model or config.model,
        model_provider=config.model_provider if _is_default(own.model_provider) else own.model_provider,
        model_settings=settings.resolve(own.model_settings) if settings is not None else own.model_settings,
        tracing_disabled=own.tracing_disabled or config.tracing_disabled,
        input_guardrails=_joined(config.input_guardrails, own.input_guardrails),
        output_guardrails=_joined(config.output_guardrails, own.output_guardrails),
        tool_error_formatter=own.tool_error_formatter or config.tool_error_formatter,
        tool_not_found_behavior=config.tool_not_found_behavior,
    )


def _joined(server: list[T] | None, own: list[T] | None) -> list[T] | None:
    """Return the guardrails of both: those of the server hold for every run."""
    return [*(server or ()), *(guardrail for guardrail in own or () if guardrail not in (server or ()))] or None


def _is_default(provider: ModelProvider) -> bool:
    """Return whether this is the provider that the Agents SDK fills in (agents 0.24), not one that the author made."""
    return (
        type(provider) is MultiProvider
        and provider.provider_map is None
        and _choices(provider.openai_provider) == _choices(MultiProvider().openai_provider)
        and get_default_openai_client() is None
    )


def _choices(provider: OpenAIProvider) -> dict[str, Any]:
    return {name: value for name, value in vars(provider).items() if value is None or isinstance(value, str | bool)} | {
        "has_client": getattr(provider, "_client", None) is not None
    }
