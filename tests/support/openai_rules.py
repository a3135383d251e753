"""What OpenAI refuses in a request's history, so that a broken conversion of ours fails here as it would there."""

from collections.abc import Mapping
from typing import Any

from tests.support.openai_answers import Failure

PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
}


def broken_rule(path: str, body: Mapping[str, Any]) -> Failure | None:
    """The error that OpenAI answers to this body, or None where it would run the model."""
    if "model" not in body:
        return Failure(400, "missing_required_parameter", "Missing required parameter: 'model'.", param="model")
    if path.endswith("/responses"):
        return _broken_input(body)
    return _broken_messages(body)


def _broken_input(body: Mapping[str, Any]) -> Failure | None:
    items = body.get("input")
    if not items:
        return _missing("input")
    if isinstance(items, str):
        return None
    calls = [i["call_id"] for i in items if i.get("type") == "function_call"]
    outputs = [i["call_id"] for i in items if i.get("type") == "function_call_output"]
    for call in calls:
        if call not in outputs:
            return _invalid(f"No tool output found for function call {call}.", "input")
    if not body.get("previous_response_id") and not body.get("conversation"):
        for output in outputs:
            if output not in calls:
                return _invalid(f"No tool call found for function call output with call_id {output}.", "input")
    return _broken_items(items)


def _broken_items(items: list[dict[str, Any]]) -> Failure | None:
    ids = [i["id"] for i in items if i.get("id")]
    for item_id in ids:
        if ids.count(item_id) > 1:
            return _invalid(f"Duplicate item found with id {item_id}. Remove duplicate items and try again.", "input")
    for at, item in enumerate(items):
        prefix = PREFIXES.get(item.get("type", "message"))
        if prefix and item.get("id") and not item["id"].startswith(prefix):
            text = f"Invalid 'input[{at}].id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
            return _invalid(text, f"input[{at}].id")
        if item.get("type") == "reasoning" and not _can_follow(items[at + 1 : at + 2]):
            text = f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            return _invalid(text, "input")
    return None


def _can_follow(following: list[dict[str, Any]]) -> bool:
    """Only what the model said behind its reasoning, which it knows by the id."""
    return bool(following) and following[0].get("role") != "user" and bool(following[0].get("id"))


def _broken_messages(body: Mapping[str, Any]) -> Failure | None:
    messages = body.get("messages")
    if not messages:
        return _missing("messages")
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return _invalid(f"Invalid parameter: {text}", "messages")
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            break
        else:
            open_calls = [call["id"] for call in message.get("tool_calls") or ()]
    if open_calls:
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        text += f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        return _invalid(text, "messages")
    return None


def _missing(param: str) -> Failure:
    return Failure(400, "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param)


def _invalid(message: str, param: str) -> Failure:
    return Failure(400, None, message, param=param)
