"""The configurations of runs: the server's own, with a selected model, or without traces."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agents import RunConfig

from ..agents.tool_failures import explain_tool_failure
from ..models import Models


def server_run_config(models: Models, *, tracing: bool) -> RunConfig:
    """Return the configuration of all runs. Unlike the SDK's default, it uploads no traces unless enabled (T44)."""
    return RunConfig(
        model_provider=models.provider,
        model_settings=models.model_settings,
        tracing_disabled=not tracing,
        tool_error_formatter=explain_tool_failure,
        tool_not_found_behavior="return_error_to_model",
    )


class RunConfigs:
    """Each made once: the Agents SDK resolves the type hints of all its fields each time it makes one."""

    def __init__(self, base: Callable[[], RunConfig]) -> None:
        """`base` returns the server's configuration."""
        self._base = base
        self._changed: dict[tuple[str | None, bool], RunConfig] = {}

    def select(self, model: str | None, *, is_traced: bool) -> RunConfig:
        """Return the configuration with the selected model for all agents of a run, and without traces unless the
        request may leave them."""
        base = self._base()
        if model is None and is_traced != base.tracing_disabled:
            return base
        key = (model, is_traced)
        if key not in self._changed:
            # Passed by name, so that the Agents SDK applies its default settings for this model.
            changes: dict[str, Any] = {} if model is None else {"model": model}
            self._changed[key] = replace(base, tracing_disabled=not is_traced, **changes)
        return self._changed[key]
