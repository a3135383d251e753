"""What a workflow returns, as a text for the user.

Agent Builder's export returns a dict of its last node: `{"output_text": "..."}` of an agent that answers in text,
`{"output_text": "<JSON>", "output_parsed": {...}}` of one with a schema, the fields of an end node, or what a guardrail
says: `{"moderation": {"failed": true, ...}, ...}`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from agents.result import RunResultBase

from ..conversion.tool_display import humanized

STOPPED = "This message did not pass a check of this assistant, so it was not answered"


def plain_answer(returned: Any) -> str | None:
    """Return the text of an agent that the workflow returns, as the agent wrote it; None if there is none."""
    if isinstance(returned, RunResultBase):
        returned = returned.final_output
    if isinstance(returned, Mapping):
        returned = returned.get("output_text")
    return returned if isinstance(returned, str) else None


def answer_text(returned: Any, output_text: Callable[[Any], str | None]) -> str:
    """Return what the user reads of it. `output_text` renders data."""
    if isinstance(returned, RunResultBase):
        returned = returned.final_output
    match returned:
        case None:
            return ""
        case str():
            return returned
        case {"output_parsed": parsed} if parsed is not None:
            return output_text(parsed) or ""
        case {"output_text": str() as text}:
            data = _data_of(text)
            return text if data is None else output_text(data) or ""
        case Mapping() if failed := _failed_checks(returned):
            return f"{STOPPED}: {', '.join(humanized(name).lower() for name in failed)}."
        case Mapping() if not returned:
            return ""
    return output_text(returned) or ""


def _data_of(text: str) -> Any:
    """Return the object or list that the text is the JSON of, or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _failed_checks(returned: Mapping[str, Any]) -> list[str]:
    """Return the names of the guardrails that failed, if this is the output of guardrails."""
    checks = returned.values()
    if not all(isinstance(check, Mapping) and isinstance(check.get("failed"), bool) for check in checks):
        return []
    return [name for name, check in returned.items() if check["failed"]]
