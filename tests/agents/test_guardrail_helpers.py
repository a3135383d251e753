"""The guardrail helper of an export works although most kinds of guardrails are not configured."""

from types import SimpleNamespace
from typing import Any

from chatkit_server.agents.guardrail_helpers import HELPER, complete_guardrail_results

KINDS = ["Contains PII", "Moderation", "Jailbreak"]


def build_guardrail_fail_output(results: Any) -> dict[str, Any]:
    """As in an export, with fewer kinds."""

    def _get(name: str) -> Any:
        for result in results or []:
            if (result.info or {}).get("guardrail_name") == name:
                return result
        return None

    pii, moderation, jailbreak = map(_get, KINDS)
    found = pii.info.get("detected_entities") or {}
    return {
        "pii": {"failed": len(found) > 0 or bool(pii.tripwire_triggered)},
        "moderation": {"failed": bool(moderation.tripwire_triggered)},
        "jailbreak": {"failed": bool(jailbreak.tripwire_triggered)},
    }


def tripped(kind: str) -> SimpleNamespace:
    return SimpleNamespace(tripwire_triggered=True, info={"guardrail_name": kind})


def test_a_kind_that_is_not_configured_has_found_nothing() -> None:
    names: dict[str, Any] = {HELPER: build_guardrail_fail_output}
    complete_guardrail_results(names)
    complete_guardrail_results(names)
    assert names[HELPER].__wrapped__ is build_guardrail_fail_output
    nothing = {"pii": {"failed": False}, "moderation": {"failed": False}, "jailbreak": {"failed": False}}
    assert names[HELPER]([]) == names[HELPER](None) == nothing
    assert names[HELPER]([tripped("Jailbreak")]) == nothing | {"jailbreak": {"failed": True}}
    assert names[HELPER](results=[tripped("Contains PII")]) == nothing | {"pii": {"failed": True}}


def test_a_module_without_the_helper_stays_as_it_is() -> None:
    names: dict[str, Any] = {HELPER: "a text"}
    complete_guardrail_results(names)
    other: dict[str, Any] = {}
    complete_guardrail_results(other)
    assert (names, other) == ({HELPER: "a text"}, {})
