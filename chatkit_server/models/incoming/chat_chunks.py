"""Read the chunks of one answer of Chat Completions, and the whole answer of an endpoint that does not stream."""

from collections.abc import Iterator
from typing import Any

from ...errors.failures import LengthReached, ProviderFailure
from .answer_state import AnswerState
from .citations import clean_chat_citations
from .finish_reasons import finish_reason
from .message_parts import plain_text, split_content
from .tool_call_deltas import ToolCallDeltas

Json = dict[str, Any]

THOUGHTS = ("reasoning_content", "reasoning")
"""Fields of a delta with thoughts; a delta with both is not plain."""
DROPPED = frozenset({"function_call", "thinking", "thoughts", "audio"})
"""Fields of a delta that are read here and not passed on."""
CHUNK = "chat.completion.chunk"


class ChatAnswer:
    """Reads one answer, chunk by chunk."""

    def __init__(self, state: AnswerState) -> None:
        self.is_complete = False
        """Whether the endpoint has said that the answer ends."""
        self._state = state
        self._calls = ToolCallDeltas(state.call_ids)
        self._has_text = False
        self._choice_index: Any = None

    def is_plain(self, chunk: Json) -> bool:
        """Return whether a chunk is exactly what OpenAI sends for a piece of text, or DeepSeek for one of a thought.

        Runs once per token.
        """
        choices = chunk.get("choices")
        if type(choices) is not list or len(choices) != 1 or type(choice := choices[0]) is not dict:
            return False
        delta = choice.get("delta")
        if type(delta) is not dict or choice.get("index") != 0 or choice.get("finish_reason", choice) is not None:
            return False
        content = delta.get("content")
        if type(content) is not str and content is not None:
            return False
        if (len(delta) > 1 or content is None) and not _has_plain_fields(delta):
            return False
        if content:
            self._has_text = True
        return True

    def end(self) -> None:
        """Note that the endpoint has closed the answer with `[DONE]`, which some do without a reason."""
        self.is_complete = True

    def read(self, chunk: Json) -> Iterator[Json]:
        """Yield what the client gets for a chunk that is not plain.

        Raises `LengthReached` or `ProviderFailure` if the answer ends without being usable.
        """
        choice = self._choice(chunk.get("choices"))
        chunk |= {"object": CHUNK, "id": str(chunk.get("id") or ""), "model": str(chunk.get("model") or "")}
        chunk["created"] = chunk["created"] if type(chunk.get("created")) is int else 0
        chunk["usage"] = _usage(chunk.get("usage"))
        if choice is None:
            yield chunk | {"choices": []}
            return
        reason = finish_reason(choice.get("finish_reason"))
        delta = self._delta(choice)
        logprobs = choice.get("logprobs")
        read_choice = {"index": 0, "delta": delta, "logprobs": logprobs if isinstance(logprobs, dict) else None}
        if reason is not None:
            self.is_complete = True
        yield chunk | {"choices": [read_choice | {"finish_reason": None if reason == "error" else reason}]}
        match reason:
            case "error":
                raise ProviderFailure(None)
            case "length":
                self._end_at_length()
            case "content_filter":
                self._end_by_filter()

    def _choice(self, choices: Any) -> Json | None:
        """Return the one choice that is shown; its index is 0 except at odd endpoints."""
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                index = choice.get("index")
                if self._choice_index is None:
                    self._choice_index = index
                if index == self._choice_index or index is None:
                    return choice
        return None

    def _delta(self, choice: Json) -> Json:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = self._whole_message(choice)
        text, thoughts, refusal = split_content(delta.get("content"))
        thoughts = thoughts or plain_text(delta.get("thinking") or delta.get("thoughts"))
        read = {name: value for name, value in delta.items() if value is not None and name not in DROPPED}
        read["role"] = "assistant"
        read["content"] = text or None
        for name in THOUGHTS:
            if name in read:
                read[name] = plain_text(read[name])
        if read.get("reasoning_content") and read.get("reasoning") == read["reasoning_content"]:
            del read["reasoning"]  # vLLM and OpenRouter send the same thought under both names
        if thoughts and not read.get("reasoning_content") and not read.get("reasoning"):
            # Marked, because an endpoint that sends thoughts as parts (Mistral) refuses this field in a request.
            read |= {"reasoning": thoughts, "reasoning_is_part": True}
        if refusal := plain_text(delta.get("refusal")) or refusal:
            read["refusal"] = refusal
        if "annotations" in read:
            read["annotations"] = clean_chat_citations(read["annotations"])
        if "thinking_blocks" in read:
            read["thinking_blocks"] = _thinking_blocks(read["thinking_blocks"])
        calls = delta.get("tool_calls") or delta.get("function_call")
        if calls:
            read["tool_calls"] = self._calls.read(calls)
        else:
            read.pop("tool_calls", None)
        self._has_text |= bool(text.strip() or refusal)
        return read

    def _whole_message(self, choice: Json) -> Json:
        """Return the message of a choice without a delta, unless its text has already been streamed."""
        message = choice.get("message")
        if isinstance(message, dict) and not self._has_text and not self._calls:
            return message
        text = choice.get("text")
        return {"content": text} if isinstance(text, str) else {}

    def _end_at_length(self) -> None:
        if (self._calls and not self._calls.are_complete) or not (self._has_text or self._calls):
            raise LengthReached
        if not self._calls:
            self._state.cut = "max_output_tokens"

    def _end_by_filter(self) -> None:
        if self._calls or not self._has_text:
            raise ProviderFailure("content_filter")
        self._state.cut = "content_filter"


def _has_plain_fields(delta: Json) -> bool:
    has_thoughts = False
    for name, value in delta.items():
        if value is None or name == "content" or (name == "role" and value == "assistant"):
            continue
        if name not in THOUGHTS or type(value) is not str or has_thoughts:
            return False
        has_thoughts = True
    return True


def _usage(usage: Any) -> Json | None:
    """Return usage with whole numbers, or None."""
    if not isinstance(usage, dict):
        return None
    read = dict(usage)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        value = usage.get(name)
        read[name] = int(value) if isinstance(value, int | float) else 0
    read["total_tokens"] = read["total_tokens"] or read["prompt_tokens"] + read["completion_tokens"]
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if not isinstance(usage.get(name), dict):
            read.pop(name, None)
    return read


def _thinking_blocks(blocks: Any) -> list[Json]:
    """Return the blocks whose texts are texts; the Agents SDK (0.24) fails on others."""
    texts = ("thinking", "signature")
    return [
        {name: value for name, value in block.items() if name not in texts or isinstance(value, str)}
        for block in (blocks if isinstance(blocks, list) else [])
        if isinstance(block, dict)
    ]
