"""Make a request valid for every endpoint: many apply templates and schemas that are stricter than OpenAI's.

The templates of Mistral and Gemma accept only alternating roles that begin with a user, those of Qwen only one system
message at the beginning. vLLM and llama.cpp parse the arguments of earlier tool calls, Bedrock rejects blank texts, and
DeepSeek expects texts to be strings. OpenAI accepts the result as well, so there is one rule for all.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from chatkit_store import clean_json

Json = dict[str, Any]

NO_ANSWER = "(No answer was given.)"
"""The assistant's message of a turn that ended without one."""
BEGINNING = "(The conversation begins here.)"
CONTINUE = "(Continue.)"
NO_TEXT = "(no text)"
NO_OUTPUT = "(no output)"
UNREADABLE = "[A picture or file, which this model cannot read.]"
INPUT_NOTE: Json = {"type": "input_text", "text": UNREADABLE}
FILE_PARTS = frozenset({"input_image", "input_file"})

MERGED_ROLES = frozenset({("user", "user"), ("assistant", "assistant")})
SYSTEM = frozenset({"system", "developer"})


def fit_messages(messages: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the messages of a Chat Completions request in a form that every endpoint accepts."""
    fitted: list[Json] = []
    for message in _with_one_system_message([_fit(clean_json(message)) for message in messages]):
        previous = fitted[-1] if fitted else {"role": "system"}
        role, roles = message["role"], (previous["role"], message["role"])
        if role == "assistant" and not message["content"] and not message.get("tool_calls"):
            continue
        if roles in MERGED_ROLES and not previous.get("tool_calls"):
            fitted[-1] = _merged(previous, message)
            continue
        if roles == ("system", "assistant"):
            fitted.append({"role": "user", "content": BEGINNING})
        elif roles == ("tool", "user"):
            fitted.append({"role": "assistant", "content": NO_ANSWER})
        fitted.append(message)
    if not fitted or fitted[-1]["role"] in {"system", "assistant"}:
        fitted.append({"role": "user", "content": CONTINUE})
    return fitted


def without_system(messages: Sequence[Json]) -> list[Json]:
    """Return fitted messages with the system message at the beginning of the first user message."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return list(messages)
    return [{**_merged(messages[0], messages[1]), "role": messages[1]["role"]}, *messages[2:]]


def without_old_files(messages: Sequence[Json]) -> list[Json]:
    """Return fitted messages with a note in place of the pictures and files before the user's last message.

    The last one stays as it is: if the model cannot read it, the user has to know.
    """
    last = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=0)
    return [
        {**message, "content": _content([_as_text(part) for part in message["content"]])}
        if index != last and isinstance(message["content"], list)
        else message
        for index, message in enumerate(messages)
    ]


def fit_items(items: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return the input of a Responses request with clean text and valid arguments."""
    fitted: list[Json] = clean_json(items)
    for item in fitted:
        if item.get("type") == "function_call":
            item["arguments"] = object_arguments(item.get("arguments"))
    return fitted


def items_without_old_files(items: Sequence[Json]) -> list[Json]:
    """Return fitted items with a note in place of the pictures and files before the user's last message."""
    last = max((index for index, item in enumerate(items) if item.get("role") == "user"), default=0)
    return [item if index == last else _item_without_files(item) for index, item in enumerate(items)]


def _item_without_files(item: Json) -> Json:
    for name in ("content", "output"):
        if isinstance(parts := item.get(name), list):
            return {**item, name: [INPUT_NOTE if part.get("type") in FILE_PARTS else part for part in parts]}
    return item


def object_arguments(arguments: object) -> str:
    """Return a tool call's arguments as the JSON of an object; `{}` if they are none, for example because they are cut.

    The output of the call tells the model what was wrong with them.
    """
    if not isinstance(arguments, str):
        return json.dumps(arguments) if isinstance(arguments, dict) else "{}"
    value = _parsed(arguments)
    if isinstance(value, str):  # some models encode the object twice
        arguments, value = value, _parsed(value)
    return arguments if isinstance(value, dict) else "{}"


def _parsed(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return None


def _with_one_system_message(messages: Sequence[Json]) -> list[Json]:
    """Join the system messages at the beginning; later ones become user messages."""
    messages = [message for message in messages if message["role"] not in SYSTEM or message["content"]]
    first = next((index for index, message in enumerate(messages) if message["role"] not in SYSTEM), len(messages))
    system: list[Json] = []
    for message in messages[:first]:
        system = [_merged(system[0], message) if system else {**message, "role": "system"}]
    later = [{**message, "role": "user"} if message["role"] in SYSTEM else message for message in messages[first:]]
    return [*system, *later]


def _fit(message: Json) -> Json:
    """Fit a single message: its content and the arguments of its tool calls."""
    content = _content(message.get("content"))
    calls = message.pop("tool_calls", None)
    match message["role"]:
        case "assistant":
            message["content"] = content or None
        case "tool":
            message["content"] = content or NO_OUTPUT
        case "user":
            message["content"] = content or NO_TEXT
        case _:
            message["content"] = content
    if calls:
        message["tool_calls"] = calls
        for call in calls:
            if isinstance(function := call.get("function"), dict):
                function["arguments"] = object_arguments(function.get("arguments"))
    return message


def _content(content: Any) -> str | list[Json]:
    """Return plain text as a string, and other content without blank texts; empty if nothing is left."""
    if isinstance(content, str):
        return content if content.strip() else ""
    parts = [part for part in content or () if part.get("type") != "text" or part["text"].strip()]
    if all(part.keys() == {"type", "text"} for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _as_text(part: Json) -> Json:
    return part if part.get("type") == "text" else {"type": "text", "text": UNREADABLE}


def _merged(first: Json, second: Json) -> Json:
    """Return two messages of one role as one."""
    contents = [message["content"] for message in (first, second) if message["content"]]
    if all(isinstance(content, str) for content in contents):
        content: Any = "\n\n".join(contents) or None
    else:
        content = [part for content in contents for part in _parts(content)]
    return {**first, **second, "role": first["role"], "content": content}


def _parts(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
