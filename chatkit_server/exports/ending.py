"""What a workflow returns, as a text for the user.

Agent Builder's export returns a dict of its last node: `{"output_text": "..."}` of an agent that answers in text,
`{"output_text": "<JSON>", "output_parsed": {...}}` of one with a schema, the fields of an end node, or what a guardrail
says: `{"moderation": {"failed": true, ...}, ...}`. Some return nothing, or what they began with.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from agents.result import RunResultBase
from pydantic_core import to_jsonable_python

from ..agents.exported_workflow import TEXT
from ..conversion.readable import readable
from ..conversion.tool_display import humanized
from .news import news_in

STOPPED = "This message did not pass a check of this assistant, so it was not answered"
CHECK_NAMES = {"pii": "personal data", "Contains PII": "personal data"}


def answer_text(
    returned: Any, output_text: Callable[[Any], str | None], shown: Collection[str], known: Collection[str] = ()
) -> str:
    """Return what the user reads of it; nothing of what is in `shown`. `output_text` renders data.

    `known` are texts that are no news beside one that was shown.
    """
    if isinstance(returned, RunResultBase):
        returned = returned.final_output
    content = _content(returned)
    news = news_in(content, shown, known)
    if isinstance(news, str):
        return news.strip()
    if news is not content:  # not what the author's function renders
        return readable(news)
    return str(news_in(output_text(content) or "", shown)).strip()


def failed_checks(returned: Any) -> list[str] | None:
    """Return the names of the guardrails that failed; None if this is not the output of guardrails."""
    match returned:
        case {"failed": bool(), "failures": list() as failures}:
            return [str(failure.get("guardrail_name")) for failure in failures if isinstance(failure, Mapping)]
        case Mapping() if returned and all(_is_check(check) for check in returned.values()):
            return [str(name) for name, check in returned.items() if check["failed"]]
    return None


def passes_on(returned: Any, output: Any) -> bool:
    """Return whether an end node has the output of a step among its fields, as JSON: the others are for a program."""
    if output is None or not isinstance(returned, Mapping) or "output_text" in returned:
        return False
    data = to_jsonable_python(output, fallback=str)
    return any(isinstance(value, str) and _data_in(value) == data for value in returned.values())


def _content(returned: Any) -> Any:
    """Return the text or the data in it that is meant for the user; "" for none."""
    match returned:
        case None:
            return ""
        case Mapping() if not returned or TEXT in returned:  # nothing, or the input of the workflow
            return ""
        case Mapping() if (failed := failed_checks(returned)) is not None:
            names = [CHECK_NAMES.get(name) or humanized(name).lower() for name in failed]
            return f"{STOPPED}: {', '.join(names)}." if failed else ""
        case {"output_parsed": parsed} if parsed is not None:
            return parsed
        case {"output_text": str() as text}:
            return _data_in(text)
        case {"output_text": data} if data is not None:
            return data
        case [*_, {"role": "assistant", "content": content}]:  # the input for another agent
            text = content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)
            return _data_in(text)
        case [*_, {"role": "user" | "system" | "developer", "content": _}]:
            return ""
    return returned


def _is_check(check: Any) -> bool:
    return isinstance(check, Mapping) and isinstance(check.get("failed"), bool)


def _data_in(text: str) -> Any:
    """Return the object or list that the text is the JSON of, or the text itself."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
