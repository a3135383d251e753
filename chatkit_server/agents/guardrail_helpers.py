"""Give the guardrail helpers of an exported workflow a result for each kind of guardrail.

Agent Builder exports `build_guardrail_fail_output(results)` with each workflow that has guardrails, and calls it in
each run. It looks up all kinds of guardrails, and raises an AttributeError for each that is not configured. The results
also tell whether the message was stopped.
"""

import functools
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from types import FunctionType, SimpleNamespace
from typing import Any

HELPER = "build_guardrail_fail_output"
KINDS = (
    "Contains PII",
    "Moderation",
    "Jailbreak",
    "Hallucination Detection",
    "NSFW Text",
    "URL Filter",
    "Custom Prompt Check",
    "Prompt Injection Detection",
)
tripwire_listener: ContextVar[Callable[[], None] | None] = ContextVar("tripwire_listener", default=None)
"""Called when a guardrail was triggered in the turn that the current task runs: what the workflow returns then, its
author decides."""
_MARK = "__chatkit_completes__"


def complete_guardrail_results(names: MutableMapping[str, Any]) -> None:
    """Let the helper among a module's names see kinds that are not configured as guardrails that found nothing."""
    helper = names.get(HELPER)
    if not isinstance(helper, FunctionType) or hasattr(helper, _MARK):
        return

    @functools.wraps(helper)
    def build(results: Any = None, *args: Any, **kwargs: Any) -> Any:
        present = list(results or [])
        if any(getattr(result, "tripwire_triggered", False) is True for result in present):
            _tell_listener()
        kinds = {_kind(result) for result in present}
        return helper([*present, *(_passed(kind) for kind in KINDS if kind not in kinds)], *args, **kwargs)

    setattr(build, _MARK, True)
    names[HELPER] = build


def _tell_listener() -> None:
    if (listener := tripwire_listener.get()) is not None:
        listener()


def _kind(result: Any) -> Any:
    info = getattr(result, "info", None)
    return (info.get("guardrail_name") or info.get("guardrailName")) if isinstance(info, dict) else None


def _passed(kind: str) -> SimpleNamespace:
    """Return what `openai-guardrails` returns of a guardrail that found nothing (0.3)."""
    return SimpleNamespace(tripwire_triggered=False, execution_failed=False, info={"guardrail_name": kind})
