"""What endpoints refuse: each function returns the endpoint's message for a body, or None."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]
Refusal = Callable[[Json], str | None]


def refusal(body: Json, rules: Sequence[Refusal]) -> str | None:
    """Return the first refusal."""
    return next((text for rule in rules if (text := rule(body))), None)


def calls_of(body: Json) -> Iterator[tuple[int, Json, Json]]:
    """Yield each tool call with its message and the message's index."""
    for index, message in enumerate(body["messages"]):
        for call in message.get("tool_calls") or ():
            yield index, message, call


def roles(body: Json) -> list[str]:
    return [message["role"] for message in body["messages"]]


def texts_of(message: Json) -> list[str]:
    content = message.get("content")
    if isinstance(content, list):
        return [part["text"] for part in content if part.get("type") == "text"]
    return [] if content is None else [content]


def unpaired_calls(body: Json) -> str | None:
    """Every endpoint: outputs directly follow the message with their calls."""
    open_calls: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            break
        else:
            open_calls = [call["id"] for call in message.get("tool_calls") or ()]
    return f"insufficient tool messages following tool_calls message: {open_calls}" if open_calls else None


def options_without_tools(body: Json) -> str | None:
    if body.get("tools"):
        return None
    names = {"tool_choice", "parallel_tool_calls"} & body.keys()
    return f"'{min(names)}' is only allowed when 'tools' are specified." if names else None


def alternating(body: Json) -> str | None:
    """Return the error of Mistral's and Gemma's templates."""
    expected = "user"
    for message in body["messages"][roles(body)[:1] == ["system"] :]:
        if message["role"] == "tool" or message.get("tool_calls"):
            continue
        if message["role"] != expected:
            return (
                "After the optional system message, conversation roles must alternate user and assistant roles except "
                "for tool calls and results."
            )
        expected = "assistant" if expected == "user" else "user"
    return None


def mistral_order(body: Json) -> str | None:
    sequence = roles(body)
    for previous, role in zip(sequence, sequence[1:], strict=False):
        if (previous, role) in {("tool", "user"), ("assistant", "system"), ("user", "system"), ("user", "tool")}:
            return f"Unexpected role '{role}' after role '{previous}'"
    if sequence[-1] not in {"user", "tool"}:
        return f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {sequence[-1]}"
    return None


def mistral_ids(body: Json) -> str | None:
    for _, _, call in calls_of(body):
        if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]):
            return f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
    return None


def mistral_content(body: Json) -> str | None:
    for message in body["messages"]:
        if message["role"] == "assistant" and not message.get("content") and not message.get("tool_calls"):
            return "Assistant message must have either content or tool_calls, but not none."
    return None


def no_system(body: Json) -> str | None:
    """Return the error of Gemma 2's template."""
    return "System role not supported" if "system" in roles(body) else None


def system_first(body: Json) -> str | None:
    """Return the error of Qwen's templates."""
    return "System message must be at the beginning." if "system" in roles(body)[1:] else None


def parsed_arguments(text: str) -> Refusal:
    """Earlier arguments must be the JSON of an object."""

    def check(body: Json) -> str | None:
        for _, _, call in calls_of(body):
            try:
                value = json.loads(call["function"]["arguments"])
            except ValueError as error:
                return f"{text}{error}"
            if not isinstance(value, dict):
                return "Can only get item pairs from a mapping."
        return None

    return check


def only_fields(form: str, *allowed: str, of_calls: Sequence[str] = ("id", "type", "function")) -> Refusal:
    """Messages have only these fields, and calls only `of_calls`; `form` is the message, for index and name."""

    def check(body: Json) -> str | None:
        fields = {"role", "content", "tool_calls", "tool_call_id", *allowed}
        for index, message in enumerate(body["messages"]):
            for name in sorted(message.keys() - fields):
                return form.format(index=index, name=name, role=message["role"])
        for index, message, call in calls_of(body):
            for name in sorted(call.keys() - set(of_calls)):
                return form.format(index=index, name=name, role=message["role"])
        return None

    return check


def only_options(form: str, *allowed: str) -> Refusal:
    """The request has only these options besides the common ones."""
    common = {"model", "messages", "stream", "tools", "tool_choice", "temperature", "max_tokens", "top_p"}

    def check(body: Json) -> str | None:
        unknown = sorted(body.keys() - common - set(allowed))
        return form.format(name=unknown[0]) if unknown else None

    return check


def reasoning_required(form: str, *, may_be_blank: bool = False) -> Refusal:
    """Each message with tool calls has its `reasoning_content`."""

    def check(body: Json) -> str | None:
        for index, message, _ in calls_of(body):
            value = message.get("reasoning_content")
            if value is None or (not value and not may_be_blank):
                return form.format(index=index)
        return None

    return check


def signature_required(body: Json) -> str | None:
    """Return Gemini's error: the first call of each message has a signature, as it was sent."""
    for index, message, call in calls_of(body):
        signature = ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature")
        if call is message["tool_calls"][0] and signature != "c2lnbmF0dXJl":
            name = call["function"]["name"]
            return f"Function call is missing a thought_signature in functionCall parts. `default_api:{name}`, {index}"
    return None


def details_required(body: Json) -> str | None:
    """Return OpenRouter's error for Gemini models."""
    for _, message, _ in calls_of(body):
        details = message.get("reasoning_details") or []
        kinds = [detail["type"] for detail in details]
        if kinds != ["reasoning.text", "reasoning.encrypted"] or details[1].get("data") != "c2lnbmF0dXJl":
            return "Gemini models require OpenRouter reasoning details to be preserved in each request."
    return None


def thinking_required(body: Json) -> str | None:
    """Return Claude's error through a gateway, if thinking is on."""
    for index, message, _ in calls_of(body):
        blocks = message.get("thinking_blocks") or [{}]
        if blocks[0].get("type") != "thinking" or blocks[0].get("signature") != "c2lnbmF0dXJl":
            return (
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block."
            )
    return None


def blank_text(form: str) -> Refusal:
    def check(body: Json) -> str | None:
        for index, message in enumerate(body["messages"]):
            if any(not text.strip() for text in texts_of(message)):
                return form.format(index=index)
        return None

    return check


def string_content(body: Json) -> str | None:
    """Return DeepSeek's error for texts in parts."""
    for index, message in enumerate(body["messages"]):
        if "content" not in message:
            return (
                f"Failed to deserialize the JSON body into the target type: messages[{index}]: missing field `content`"
            )
        if isinstance(message["content"], list):
            return (
                f"Failed to deserialize the JSON body into the target type: messages[{index}]: invalid type: sequence, "
                "expected a string"
            )
    return None


def null_content(text: str) -> Refusal:
    """Content may be null only beside tool calls, or (`text` says so) never."""

    def check(body: Json) -> str | None:
        for message in body["messages"]:
            if message.get("content") is None and not message.get("tool_calls"):
                return text
        return None

    return check


def never_null(body: Json) -> str | None:
    """Return the error of LM Studio and some gateways."""
    if any(message.get("content") is None for message in body["messages"]):
        return "Invalid 'content': 'content' field must be a string or an array of objects."
    return None


def user_first(text: str) -> Refusal:
    def check(body: Json) -> str | None:
        spoken = [role for role in roles(body) if role != "system"]
        return None if spoken[0] == "user" else text

    return check


def no_prefill(body: Json) -> str | None:
    if roles(body)[-1] == "assistant":
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    return None


def tools_required(body: Json) -> str | None:
    if any(calls_of(body)) and not body.get("tools"):
        return "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    return None


def no_strict_tools(form: str) -> Refusal:
    def check(body: Json) -> str | None:
        if any("strict" in tool["function"] for tool in body.get("tools") or ()):
            return form
        return None

    return check


def no_developer(body: Json) -> str | None:
    return "developer is not one of ['system', 'assistant', 'user', 'tool']" if "developer" in roles(body) else None
