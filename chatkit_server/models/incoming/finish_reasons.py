"""Translate the reasons for which endpoints end an answer into OpenAI's."""

from typing import Any, Literal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]

_REASONS: dict[FinishReason, tuple[str, ...]] = {
    "length": (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_length",
        "model_length",  # Mistral
        "model_context_window_exceeded",  # Anthropic
        "context_length_exceeded",
        "length_limit",
        "token_limit",
        "incomplete",
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    "content_filter": (
        "content_filter",
        "content_filtered",  # Bedrock
        "guardrail_intervened",  # Bedrock
        "safety",  # Gemini and the next four
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",  # GLM
        "refusal",  # Anthropic
    ),
    "error": (
        "error",
        "abort",  # vLLM, SGLang
        "aborted",
        "cancelled",
        "failed",
        "timeout",
        "network_error",  # GLM
        "insufficient_system_resource",  # DeepSeek
        "malformed_function_call",  # Gemini and the next one
        "unexpected_tool_call",
        "server_error",
        "internal_error",
    ),
}
_UNFINISHED = frozenset({"null", "none", "finish_reason_unspecified"})
"""What some endpoints send as text while the answer continues."""
_BY_NAME: dict[str, FinishReason] = {name: reason for reason, names in _REASONS.items() for name in names}


def finish_reason(value: Any) -> FinishReason | None:
    """Return OpenAI's reason, `error` for a failure, or None while the answer continues.

    Unknown reasons, such as `eos`, `end_turn` and `stop_sequence`, mean the normal end.
    """
    name = str(value or "").strip().lower().replace("-", "_")
    return None if not name or name in _UNFINISHED else _BY_NAME.get(name, "stop")
