"""Give the guardrail helpers of an exported workflow a result for each kind of guardrail.

Agent Builder exports `build_guardrail_fail_output(results)` with each workflow that has guardrails, and calls it in
each run. It looks up all kinds of guardrails, and raises an AttributeError for each that is not configured.
"""

import functools
from collections.abc import MutableMapping
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
_MARK = "__chatkit_completes__"


def complete_guardrail_results(names: MutableMapping[str, Any]) -> None:
    """Let the helper among a module's names see kinds that are not configured as guardrails that found nothing."""
    helper = names.get(HELPER)
    if not isinstance(helper, FunctionType) or hasattr(helper, _MARK):
        return

    @functools.wraps(helper)
    def build(results: Any = None, *args: Any, **kwargs: Any) -> Any:
        present = list(results or [])
        kinds = {_kind(result) for result in present}
        return helper([*present, *(_passed(kind) for kind in KINDS if kind not in kinds)], *args, **kwargs)

    setattr(build, _MARK, True)
    names[HELPER] = build


def _kind(result: Any) -> Any:
    info = getattr(result, "info", None)
    return (info.get("guardrail_name") or info.get("guardrailName")) if isinstance(info, dict) else None


def _passed(kind: str) -> SimpleNamespace:
    """Return what `openai-guardrails` returns of a guardrail that found nothing (0.3)."""
    return SimpleNamespace(tripwire_triggered=False, execution_failed=False, info={"guardrail_name": kind})
