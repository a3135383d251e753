"""Read a response that is not a stream of events: a whole answer, an error, or a page of something else."""

import json
from collections.abc import Iterator
from typing import Any

from ...errors.failures import AnswerCut, NoAnswer, NotAnEndpoint, ProviderFailure
from .answer_state import AnswerState
from .chat_chunks import ChatAnswer
from .responses_events import whole_response

Json = dict[str, Any]

BOM = b"\xef\xbb\xbf"


def is_whole(start: bytes) -> bool:
    """Return whether a response that begins like this is not an event stream, which begins with a field's name."""
    return start.lstrip(BOM).lstrip()[:1] in (b"{", b"[", b"<")


def whole_answer(body: bytes) -> Iterator[Json]:
    """Yield the events of a whole answer, or one with its error.

    Raises `NotAnEndpoint`, `NoAnswer`, or `AnswerCut` if the JSON ends in the middle.
    """
    text = body.lstrip(BOM).decode(errors="replace").strip()
    if text.startswith("<"):
        raise NotAnEndpoint("an HTML or XML page")
    value = _parse(text)
    if isinstance(value, list):  # Gemini wraps errors into a list
        value = value[0] if value and isinstance(value[0], dict) else {}
    if (error := error_in(value)) is not None:
        yield {"error": error}
    elif isinstance(value.get("choices"), list):
        if not value["choices"]:
            raise NoAnswer("the endpoint's JSON has no choices")
        yield value
    elif isinstance(value.get("output"), list):
        yield from whole_response(value)
    elif "done" in value and ("message" in value or "response" in value):
        raise NotAnEndpoint("Ollama's own API, whose OpenAI-compatible one is at /v1")
    else:
        raise NotAnEndpoint("JSON that is neither an answer nor an error")


def whole_completion(data: Json) -> Json:
    """Return a chat completion that was asked for without streaming, in OpenAI's form.

    Raises `ProviderFailure` for an error, `NotAnEndpoint`, and what `ChatAnswer.read` raises.
    """
    if (error := error_in(data)) is not None:
        raise ProviderFailure(_text(error.get("code")) or _text(error.get("type")), _text(error.get("message")))
    if not isinstance(data.get("choices"), list):
        raise NotAnEndpoint("JSON that is neither an answer nor an error")
    (chunk,) = ChatAnswer(AnswerState()).read(data)
    choices = [_whole_choice(choice) for choice in chunk["choices"]]
    return chunk | {"object": "chat.completion", "choices": choices}


def _whole_choice(choice: Json) -> Json:
    message = choice["delta"]
    calls = [{name: value for name, value in call.items() if name != "index"} for call in message.get("tool_calls", ())]
    whole_message = message | ({"tool_calls": calls} if calls else {})
    return {"index": 0, "message": whole_message, "finish_reason": choice["finish_reason"] or "stop"}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def error_in(value: Json) -> Json | None:
    """Return the error that an object of JSON consists of, with OpenAI's names, or None."""
    error = value.get("error")
    if isinstance(error, list):
        error = next((entry for entry in error if isinstance(entry, dict)), None)
    if isinstance(error, dict) and error:
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    if value.get("object") == "error" or value.get("type") == "error":  # vLLM, the Responses API
        return {name: value.get(name) for name in ("message", "type", "code")}
    if value.keys() & {"choices", "output", "response", "delta", "done"} or str(value.get("type")).startswith(
        "response."
    ):
        return None
    if isinstance(errors := value.get("errors"), list) and errors:
        return errors[0] if isinstance(errors[0], dict) else {"message": str(errors[0])}
    for name in ("message", "detail", "msg"):  # gateways and web frameworks
        if detail := value.get(name):
            message = detail if isinstance(detail, str) else json.dumps(detail)
            return {"message": message, "type": value.get("type"), "code": value.get("code")}
    return None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        lines = text.split("\n")
    try:
        first = json.loads(lines[0])
    except ValueError:
        raise AnswerCut from None
    raise NotAnEndpoint(
        "Ollama's own API, whose OpenAI-compatible one is at /v1" if "done" in first else "lines of JSON"
    )
