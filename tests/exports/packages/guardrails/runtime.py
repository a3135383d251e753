"""Checks like those of `openai-guardrails`, under its names: personal data by patterns, moderation by the provider."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PATTERNS = {"EMAIL_ADDRESS": r"[\w.+-]+@[\w-]+\.[\w.]+"}


@dataclass(frozen=True)
class GuardrailResult:
    """What a check found."""

    tripwire_triggered: bool
    info: dict[str, Any]


@dataclass(frozen=True)
class Guardrail:
    """A check with its configuration."""

    name: str
    config: Mapping[str, Any]


def load_config_bundle(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the entries of a configuration."""
    entries: Sequence[Mapping[str, Any]] = config["guardrails"]
    return entries


def instantiate_guardrails(bundle: Sequence[Mapping[str, Any]]) -> list[Guardrail]:
    """Return the checks."""
    return [Guardrail(entry["name"], entry["config"]) for entry in bundle]


async def run_guardrails(
    ctx: Any,
    data: str,
    media_type: str,
    guardrails: Sequence[Guardrail],
    *,
    suppress_tripwire: bool = False,
    raise_guardrail_errors: bool = False,
) -> list[GuardrailResult]:
    """Run the checks on a text."""
    return [await _CHECKS[guardrail.name](ctx, data, guardrail.config) for guardrail in guardrails]


async def _personal_data(ctx: Any, text: str, config: Mapping[str, Any]) -> GuardrailResult:
    detected = {name: re.findall(PATTERNS[name], text) for name in config["entities"]}
    detected = {name: values for name, values in detected.items() if values}
    masked = text
    for name in detected:
        masked = re.sub(PATTERNS[name], f"<{name}>", masked)
    info = {"guardrail_name": "Contains PII", "detected_entities": detected, "checked_text": masked}
    return GuardrailResult(bool(detected) and config["block"], info)


async def _moderation(ctx: Any, text: str, config: Mapping[str, Any]) -> GuardrailResult:
    answer = await ctx.guardrail_llm.moderations.create(model="omni-moderation-latest", input=text)
    categories = answer.results[0].categories.model_dump()
    flagged = [name for name in config["categories"] if categories.get(name)]
    return GuardrailResult(bool(flagged), {"guardrail_name": "Moderation", "flagged_categories": flagged})


_CHECKS: dict[str, Callable[[Any, str, Mapping[str, Any]], Awaitable[GuardrailResult]]] = {
    "Contains PII": _personal_data,
    "Moderation": _moderation,
}
