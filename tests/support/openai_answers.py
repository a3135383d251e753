"""Scripted answers of the fake model endpoint: plain data, the same for both of OpenAI's APIs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

WORDS = (
    "The ",
    "quick ",
    "brown ",
    "fox ",
    "said: ",
    '"Grüße',
    ' 🦊"',
    ",\n",
    "jumps ",
    "over ",
    "**lazy** ",
    "dogs. ",
)
"""Tokens for long answers: plain words, with some quotes, line ends and characters that are not ASCII."""


@dataclass(frozen=True)
class Citation:
    """A web source; `start` and `end` are indexes into the cited text."""

    url: str
    title: str = ""
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class FileCitation:
    """A file of a file search; `index` is an index into the cited text."""

    filename: str
    file_id: str = "file-1"
    index: int = 0


@dataclass(frozen=True)
class ContainerCitation:
    """A file written by the model's code in its container."""

    filename: str
    file_id: str = "cfile_1"
    container_id: str = "cntr_1"
    start: int = 0
    end: int = 0


AnyCitation = Citation | FileCitation | ContainerCitation


@dataclass(frozen=True)
class Text:
    """An assistant message, streamed token by token. Chat Completions supports only citations of web sources."""

    text: str
    citations: Sequence[AnyCitation] = ()
    tokens: Sequence[str] = ()

    def pieces(self) -> Sequence[str]:
        return self.tokens or split_tokens(self.text)


@dataclass(frozen=True)
class Refusal:
    """An assistant message that refuses."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """Reasoning before the answer: the parts of a summary (OpenAI's models) or raw text (open models)."""

    summary: Sequence[str] = ()
    text: str = ""


@dataclass(frozen=True)
class ToolCall:
    """A function call; the call id is generated if not given."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    call_id: str | None = None

    def json_arguments(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class WebSearch:
    """A web search by the provider; Responses only."""

    query: str
    sources: Sequence[str] = ()
    """URLs, which a request has to include (`web_search_call.action.sources`)."""


@dataclass(frozen=True)
class FileSearch:
    """A search in the provider's vector stores; Responses only."""

    queries: Sequence[str]
    results: Sequence[str] | None = None
    """File names, which a request has to include (`file_search_call.results`)."""


@dataclass(frozen=True)
class McpApproval:
    """A request to approve a call of a hosted MCP server's tool; Responses only."""

    server: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = "mcpr_1"


@dataclass(frozen=True)
class McpCall:
    """A call of a hosted MCP server's tool, which the provider makes; Responses only."""

    server: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True)
class Image:
    """An image by the tool `image_generation` (Responses only): partial images, then the final one."""

    data: bytes
    partial: Sequence[bytes] = ()


Output = Image | McpApproval | McpCall | Text | Refusal | Reasoning | ToolCall | WebSearch | FileSearch


@dataclass(frozen=True)
class Failure:
    """An error in OpenAI's words: an HTTP status with a JSON body, or an event in the middle of a stream."""

    status: int
    code: str | None
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def error(self) -> dict[str, Any]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


INVALID_API_KEY = Failure(
    401,
    "invalid_api_key",
    "Incorrect API key provided: sk-wrong. You can find your API key at https://platform.openai.com/account/api-keys.",
)
RATE_LIMIT = Failure(
    429,
    "rate_limit_exceeded",
    "Rate limit reached for gpt-test in organization org-test on tokens per min (TPM): Limit 30000, Used 29000, "
    "Requested 2000. Please try again in 2s.",
    type="tokens",
    headers={"retry-after": "0", "retry-after-ms": "1"},  # the real two seconds would slow the tests down
)
INSUFFICIENT_QUOTA = Failure(
    429,
    "insufficient_quota",
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
    type="insufficient_quota",
    headers={"retry-after": "0", "retry-after-ms": "1"},
)
MODEL_NOT_FOUND = Failure(
    404, "model_not_found", "The model `gpt-test` does not exist or you do not have access to it.", param="model"
)
CONTEXT_LENGTH = Failure(
    400,
    "context_length_exceeded",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    param="input",
)
CONTENT_FILTER = Failure(
    400, "content_policy_violation", "Your request was rejected as a result of our safety system.", param="input"
)
SERVER_ERROR = Failure(
    500,
    "server_error",
    "The server had an error processing your request. Sorry about that! You can retry your request.",
    type="server_error",
    headers={"retry-after-ms": "1"},
)
OVERLOADED = Failure(
    503,
    None,
    "The server is overloaded or not ready yet.",
    type="service_unavailable",
    headers={"retry-after-ms": "1"},
)

Break = Literal["error", "nested_error", "failed", "drop"]
"""How a stream breaks: the `error` event as documented, the form that OpenAI also sends (`{"error": {...}}`),
`response.failed`, or a TCP reset. Chat Completions supports only `{"error": {...}}` and `drop`."""


@dataclass(frozen=True)
class Answer:
    """One answer of the model.

    The short forms (`reasoning`, `text`, `refusal`, `tool_calls`) are sent in this order; `output` allows any order.
    Every delta counts as a token: text, refusal, reasoning and tool arguments.
    """

    text: str | Text = ""
    reasoning: Reasoning | None = None
    refusal: str = ""
    tool_calls: Sequence[ToolCall] = ()
    output: Sequence[Output] = ()

    rate: float | None = None
    """Tokens per second, each in a separate write. None means full speed, with several tokens per write."""
    delay: float = 0.0
    """Seconds before the status line."""
    fail: Failure | None = None
    """Respond with this status and body instead."""
    hang_after: int | None = None
    """Pause after this many tokens until the request is released or its client disconnects."""
    error_after: int | None = None
    """Break with `error` after this many tokens, in the way given by `error_as`."""
    error: Failure = SERVER_ERROR
    error_as: Break = "error"
    incomplete: Literal["max_output_tokens", "content_filter"] | None = None
    """End with `response.incomplete` (`finish_reason` length or content_filter)."""
    connection_close: bool = False
    """Send `Connection: close`."""

    def outputs(self) -> Sequence[Output]:
        """Return all output items in the order in which they are sent."""
        if self.output:
            return self.output
        text = Text(self.text) if isinstance(self.text, str) else self.text
        short: list[Output] = [self.reasoning] if self.reasoning else []
        short += [text] if text.text or text.tokens else []
        short += [Refusal(self.refusal)] if self.refusal else []
        return [*short, *self.tool_calls]

    def full_text(self) -> str:
        """Return the text of all messages, joined."""
        return "".join("".join(o.pieces()) for o in self.outputs() if isinstance(o, Text))


def split_tokens(text: str) -> Sequence[str]:
    """Split a text into words with the whitespace before them, like a tokenizer. Joined, they equal the text."""
    return re.findall(r"\s*\S+|\s+", text)


def split_arguments(arguments: str) -> Sequence[str]:
    """Split a tool call's JSON into pieces."""
    return [arguments[i : i + 6] for i in range(0, len(arguments), 6)]
