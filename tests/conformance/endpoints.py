"""The endpoints. Each record names where its shape or its refusal was reported.

Those of OpenAI itself are in tests/support: `openai_wire.py` has their shapes, `openai_rules.py` what they refuse.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.conformance import refusals as rules
from tests.conformance import shapes
from tests.conformance.shapes import Shape, call_ids, data

Json = dict[str, Any]


def openai_error(message: str, status: int) -> Any:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": status}}


def mistral_error(message: str, status: int) -> Any:
    return {
        "object": "error",
        "message": message,
        "type": "invalid_request_message_order",
        "param": None,
        "code": "3230",
    }


def gemini_error(message: str, status: int) -> Any:
    return [{"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}]


def extra_forbidden(message: str, status: int) -> Any:
    return {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "msg": message}]}, "code": 3001}


Api = Literal["chat_completions", "responses"]


@dataclass(frozen=True)
class Endpoint:
    """One endpoint."""

    name: str
    source: str
    shape: Shape
    refuses: Sequence[rules.Refusal] = ()
    error: Callable[[str, int], Any] = openai_error
    status: int = 400
    """The status of a refusal."""
    failure: tuple[int, str] = (503, "The server is overloaded or not ready yet.")
    api: Api = "chat_completions"
    is_openai: bool = False

    @property
    def path(self) -> str:
        return self.name.lower().replace(" ", "-").replace(".", "").replace(",", "")


ENCRYPTED = [{"type": "reasoning.encrypted", "data": "c2lnbmF0dXJl", "index": 1, "format": "google-gemini-v1"}]
SIGNED = {"type": "thinking", "thinking": "", "signature": "c2lnbmF0dXJl"}
AZURE_FILTER = {"hate": {"filtered": False, "severity": "safe"}}

ENDPOINTS = [
    Endpoint("OpenAI, Responses", "tests/support", Shape(shapes.reasoning), api="responses", is_openai=True),
    Endpoint("OpenAI, Chat Completions", "tests/support", Shape(), is_openai=True),
    Endpoint(
        "Azure OpenAI",
        "github.com/openai/openai-python issue 1266: a first chunk without choices, filter results in each",
        Shape(
            before=[
                data({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []})
            ],
            choice={"content_filter_results": AZURE_FILTER, "logprobs": None},
            usage_in_last=False,
        ),
        [
            rules.unpaired_calls,
            rules.options_without_tools,
            rules.only_fields("Unknown field {name}", "refusal", "name"),
        ],
    ),
    Endpoint(
        "vLLM",
        "github.com/vllm-project/vllm pull 48922: arguments of the history are parsed; issue 41114: Qwen's template",
        Shape(
            think=shapes.reasoning,
            call_id=call_ids("chatcmpl-tool-{number:032x}"),
            choice={"logprobs": None, "stop_reason": None, "token_ids": None},
            usage_in_last=False,
        ),
        [rules.unpaired_calls, rules.system_first, rules.parsed_arguments(""), rules.options_without_tools],
    ),
    Endpoint(
        "vLLM with Gemma",
        "github.com/vllm-project/vllm pull 2964: the template of Gemma refuses system messages; roles must alternate",
        Shape(usage_in_last=False),
        [rules.no_system, rules.unpaired_calls, rules.alternating, rules.parsed_arguments("")],
    ),
    Endpoint(
        "vLLM with Mistral",
        "github.com/mistralai/mistral-vibe issue 255, github.com/charmbracelet/crush issue 279: roles must alternate",
        Shape(call_id=call_ids("{number:09d}"), whole_calls=True, usage_in_last=False),
        [rules.unpaired_calls, rules.alternating, rules.mistral_order, rules.mistral_ids, rules.parsed_arguments("")],
    ),
    Endpoint(
        "llama.cpp",
        "github.com/ggml-org/llama.cpp issue 25510: arguments of the history are parsed, status 500",
        Shape(
            think=shapes.reasoning_content,
            role={"role": "assistant", "content": None},
            call_id=call_ids("{number:032x}"),
            last={"timings": {"prompt_n": 9, "predicted_n": 3}},
        ),
        [
            rules.unpaired_calls,
            rules.system_first,
            rules.parsed_arguments("Failed to parse tool call arguments as JSON: "),
            rules.no_prefill,
        ],
        status=500,
        failure=(503, "Loading model"),
    ),
    Endpoint(
        "Ollama",
        "github.com/ollama/ollama openai/openai.go: whole calls, `reasoning`; null content only beside tool calls",
        Shape(
            think=shapes.reasoning,
            each={"role": "assistant", "content": ""},
            whole_calls=True,
            call_id=call_ids("call_{number:08x}"),
            usage_in_last=False,
        ),
        [
            rules.unpaired_calls,
            rules.parsed_arguments("invalid tool call arguments: "),
            rules.null_content("invalid message content type: <nil>"),
        ],
    ),
    Endpoint(
        "LM Studio",
        "github.com/lmstudio-ai/lmstudio-bug-tracker issue 261: null content is refused",
        Shape(call_id=call_ids("{number:09d}")),
        [rules.unpaired_calls, rules.never_null, rules.parsed_arguments("")],
    ),
    Endpoint(
        "LiteLLM, Claude",
        "docs.litellm.ai/docs/reasoning_content: thinking_blocks; api.anthropic.com refuses calls without them",
        Shape(
            think=shapes.thinking_blocks,
            after_thoughts={"reasoning_content": "", "thinking_blocks": [SIGNED], "content": ""},
            call_id=call_ids("toolu_{number:024d}"),
            usage_in_last=False,
        ),
        [
            rules.unpaired_calls,
            rules.thinking_required,
            rules.blank_text("messages.{index}: text content blocks must be non-empty"),
            rules.no_prefill,
            rules.tools_required,
        ],
    ),
    Endpoint(
        "LiteLLM, Mistral",
        "github.com/BerriAI/litellm issue 30835: `reasoning_content` is sent, and refused when it comes back",
        Shape(think=shapes.reasoning_content, whole_calls=True, call_id=call_ids("{number:09d}"), usage_in_last=False),
        [
            rules.unpaired_calls,
            rules.only_fields(
                "MistralException: extra_forbidden, messages {index} {role} {name}: Extra inputs are not permitted"
            ),
            rules.mistral_order,
        ],
        status=422,
    ),
    Endpoint(
        "OpenRouter, Gemini",
        "openrouter.ai/docs reasoning tokens; github.com/microsoft/agent-framework issue 2947: reasoning_details",
        Shape(
            think=shapes.reasoning_details,
            after_thoughts={"content": "", "reasoning": None, "reasoning_details": ENCRYPTED},
            before=[b": OPENROUTER PROCESSING\n\n"],
            each={"role": "assistant", "content": ""},
            call_id=call_ids("tool_0_{name}_{number}"),
            whole_calls=True,
            choice={"native_finish_reason": None, "logprobs": None},
            usage_in_last=False,
        ),
        [rules.unpaired_calls, rules.details_required],
        failure=(502, "Provider returned error"),
    ),
    Endpoint(
        "Groq",
        "github.com/tashfeenahmed/freellmapi issue 1070: unknown fields of messages are refused",
        Shape(
            think=shapes.reasoning,
            whole_calls=True,
            call_id=call_ids("fc_{number:08x}"),
            head={"system_fingerprint": "fp_1"},
            last={"x_groq": {"id": "req_1", "usage": {"total_tokens": 12}}},
        ),
        [
            rules.unpaired_calls,
            rules.options_without_tools,
            rules.only_fields(
                "'messages.{index}' : for 'role:{role}' the following must be satisfied[('messages.{index}' : property "
                "'{name}' is unsupported)]",
                "reasoning",
                "name",
            ),
        ],
        failure=(503, "Service Unavailable"),
    ),
    Endpoint(
        "Groq, model without reasoning input",
        "github.com/vercel/ai pull 8057: `reasoning` is refused by models that do not support it",
        Shape(think=shapes.reasoning, whole_calls=True),
        [rules.unpaired_calls, rules.only_fields("messages[{index}].{name}: {name} is not supported with this model")],
    ),
    Endpoint(
        "Mistral",
        "github.com/BerriAI/litellm issue 16272: thinking parts; docs.mistral.ai: ids, order and fields",
        Shape(think=shapes.thinking_parts, whole_calls=True, call_id=call_ids("{number:09d}")),
        [
            rules.unpaired_calls,
            rules.mistral_order,
            rules.mistral_ids,
            rules.mistral_content,
            rules.only_fields("Extra inputs are not permitted: {role}.{name}", "prefix", "name"),
            rules.only_options("Extra inputs are not permitted: {name}", "parallel_tool_calls", "stream_options"),
        ],
        error=mistral_error,
    ),
    Endpoint(
        "DeepSeek",
        "api-docs.deepseek.com/guides/thinking_mode; github.com/BerriAI/litellm issue 6642: content is a string",
        Shape(
            think=shapes.reasoning_content,
            role={"role": "assistant", "content": None, "reasoning_content": ""},
            call_id=call_ids("call_{number:02d}_abcdefghijklmnopqrst"),
        ),
        [
            rules.unpaired_calls,
            rules.string_content,
            rules.reasoning_required(
                "The `reasoning_content` in the thinking mode must be passed back to the API.", may_be_blank=True
            ),
        ],
        failure=(503, "Service is too busy."),
    ),
    Endpoint(
        "Kimi",
        "github.com/theopenco/llmgateway pull 2093: reasoning_content, not blank; vllm-project/vllm pull 46344: ids",
        Shape(
            think=shapes.reasoning_content,
            call_id=call_ids("functions.{name}:{number}"),
            choice={"usage": None},
        ),
        [
            rules.unpaired_calls,
            rules.reasoning_required(
                "thinking is enabled but reasoning_content is missing in assistant tool call message at index {index}"
            ),
            rules.blank_text("Invalid request: the message at position {index} must not be empty"),
            rules.no_developer,
        ],
        failure=(429, "The engine is currently overloaded, please try again later"),
    ),
    Endpoint(
        "GLM",
        "docs.z.ai/guides/capabilities/thinking-mode; github.com/lifemate-ai/familiar-ai pull 54: reasoning_content",
        Shape(
            think=shapes.reasoning_content,
            each={"role": "assistant"},
            whole_calls=True,
            call_id=call_ids("call_-{number:019d}"),
            head={"request_id": "1"},
        ),
        [
            rules.unpaired_calls,
            rules.reasoning_required("1214: reasoning_content is missing in message {index}"),
            rules.blank_text("1214: messages[{index}].content must not be empty"),
        ],
        failure=(503, "1305: The service may be temporarily overloaded, please try again later"),
    ),
    Endpoint(
        "Gemini",
        "github.com/noho/dayu-agent issue 45 (a captured stream): no index, signatures; an error is a list",
        Shape(
            each={"role": "assistant"},
            whole_calls=True,
            call_id=call_ids("{number:08x}"),
            index=lambda number: None,
            call_fields=lambda number: (
                {"extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}}} if not number else {}
            ),
            finish_of_calls="stop",
        ),
        [
            rules.unpaired_calls,
            rules.signature_required,
            rules.only_fields(
                'Invalid JSON payload received. Unknown name "{name}": Cannot find field.',
                "name",
                of_calls=("id", "type", "function", "extra_content"),
            ),
            rules.only_options(
                'Invalid JSON payload received. Unknown name "{name}": Cannot find field.',
                "stream_options",
                "reasoning_effort",
            ),
            rules.user_first("Please ensure that function call turn comes immediately after a user turn."),
        ],
        error=gemini_error,
        failure=(503, "The model is overloaded. Please try again later."),
    ),
    Endpoint(
        "Anthropic",
        "platform.claude.com/docs/en/api/openai-sdk: the compatible endpoint; blank texts and prefill are refused",
        Shape(call_id=call_ids("toolu_{number:024d}"), each={"role": "assistant"}),
        [
            rules.unpaired_calls,
            rules.blank_text("messages.{index}: text content blocks must be non-empty"),
            rules.no_prefill,
        ],
        failure=(529, "Overloaded"),
    ),
    Endpoint(
        "Bedrock gateway",
        "github.com/aws-samples/bedrock-access-gateway pulls 239, 247: toolConfig, indexes of content blocks",
        Shape(
            think=shapes.reasoning_content,
            call_id=call_ids("tooluse_{number:022d}"),
            index=lambda number: number - 1,
            usage_in_last=False,
        ),
        [
            rules.unpaired_calls,
            rules.alternating,
            rules.tools_required,
            rules.blank_text("The text field in the ContentBlock object at messages.{index}.content.0 is blank."),
            rules.user_first("A conversation must start with a user message."),
        ],
        failure=(503, "Bedrock is unable to process your request."),
    ),
]
