"""Encode an `Answer` as OpenAI's servers do, for the Responses and the Chat Completions API.

There is one wire per request. `steps()` yields the encoded events, each with a flag for tokens; `breaking()` returns
the event that ends a stream in the middle; `body()` returns the answer without streaming.
"""

import base64
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Protocol

from tests.support.openai_answers import (
    Answer,
    AnyCitation,
    Break,
    Citation,
    ContainerCitation,
    Failure,
    FileCitation,
    FileSearch,
    Image,
    McpApproval,
    McpCall,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    WebSearch,
    split_arguments,
    split_tokens,
)

Step = tuple[bytes, bool]
Json = dict[str, Any]

# OpenAI pads every delta with this, and clients ignore it; its bytes are part of the cost of a token.
_PADDING = ["x" * (n % 16 + 1) for n in range(16)]


class Wire(Protocol):
    """One answer, encoded for one API."""

    @property
    def output(self) -> Sequence[Json]:
        """The items that have been sent completely; Chat Completions has none."""

    def steps(self) -> Iterator[Step]: ...
    def breaking(self, failure: Failure, how: Break) -> bytes: ...
    def body(self) -> Json: ...


def new_id(prefix: str) -> str:
    """Return an id like OpenAI's: a prefix, the time in hex, and random digits."""
    return f"{prefix}_{int(time.time()):08x}{secrets.token_hex(20)}"


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class ResponsesWire:
    """`POST /v1/responses`."""

    def __init__(self, answer: Answer, request: Mapping[str, Any]) -> None:
        self._answer = answer
        self._request = request
        self._sequence = -1
        self._created_at = int(time.time())
        self._id = new_id("resp")
        self.output: list[Json] = []
        self._tokens = 0

    def steps(self) -> Iterator[Step]:
        yield self._event("response.created", response=self._response("in_progress")), False
        yield self._event("response.in_progress", response=self._response("in_progress")), False
        outputs = self._answer.outputs()
        for index, output in enumerate(outputs):
            cut = self._answer.incomplete is not None and index == len(outputs) - 1
            match output:
                case Text():
                    yield from self._text(index, output, cut)
                case Image():
                    yield from self._image(index, output)
                case Refusal():
                    yield from self._refusal(index, output)
                case Reasoning():
                    yield from self._reasoning(index, output)
                case ToolCall():
                    yield from self._call(index, output)
                case WebSearch():
                    yield from self._search(index, new_id("ws"), "web_search_call", _web_search(output))
                case McpApproval():
                    yield from self._approval(index, output)
                case McpCall():
                    yield from self._mcp_call(index, output)
                case FileSearch():
                    yield from self._search(index, new_id("fs"), "file_search_call", _file_search(output))
        status = "incomplete" if self._answer.incomplete else "completed"
        yield self._event(f"response.{status}", response=self._response(status)), False

    def breaking(self, failure: Failure, how: Break) -> bytes:
        if how == "failed":
            response = self._response("failed") | {"error": {"code": failure.code, "message": failure.message}}
            return self._event("response.failed", response=response)
        if how == "nested_error":
            return self._event("error", error=failure.error())
        return self._event("error", code=failure.code, message=failure.message, param=failure.param)

    def body(self) -> Json:
        for _ in self.steps():
            pass
        return self._response("incomplete" if self._answer.incomplete else "completed")

    def _text(self, index: int, output: Text, cut: bool) -> Iterator[Step]:
        item_id = new_id("msg")
        where = {"item_id": item_id, "output_index": index, "content_index": 0}
        yield self._added(index, _message(item_id, "in_progress", []))
        yield self._event("response.content_part.added", **where, part=_output_text("", [])), False
        for token in output.pieces():
            yield self._delta("response.output_text.delta", item_id, index, token, ',"logprobs":[]'), True
        text = "".join(output.pieces())
        annotations = [_annotation(citation) for citation in output.citations]
        for n, annotation in enumerate(annotations):
            event = self._event(
                "response.output_text.annotation.added", **where, annotation_index=n, annotation=annotation
            )
            yield event, False
        yield self._event("response.output_text.done", **where, text=text, logprobs=[]), False
        yield self._event("response.content_part.done", **where, part=_output_text(text, annotations)), False
        status = "incomplete" if cut else "completed"
        yield self._done(index, _message(item_id, status, [_output_text(text, annotations)]))

    def _refusal(self, index: int, output: Refusal) -> Iterator[Step]:
        item_id = new_id("msg")
        where = {"item_id": item_id, "output_index": index, "content_index": 0}
        yield self._added(index, _message(item_id, "in_progress", []))
        yield self._event("response.content_part.added", **where, part={"type": "refusal", "refusal": ""}), False
        for token in split_tokens(output.text):
            yield self._delta("response.refusal.delta", item_id, index, token), True
        part = {"type": "refusal", "refusal": output.text}
        yield self._event("response.refusal.done", **where, refusal=output.text), False
        yield self._event("response.content_part.done", **where, part=part), False
        yield self._done(index, _message(item_id, "completed", [part]))

    def _reasoning(self, index: int, output: Reasoning) -> Iterator[Step]:
        item_id = new_id("rs")
        item: Json = {"id": item_id, "type": "reasoning", "summary": []}
        yield self._added(index, item)
        for n, text in enumerate(output.summary):
            yield from self._summary_part({"item_id": item_id, "output_index": index, "summary_index": n}, text)
        item["summary"] = [{"type": "summary_text", "text": text} for text in output.summary]
        if output.text:
            where = {"item_id": item_id, "output_index": index, "content_index": 0}
            for token in split_tokens(output.text):
                yield self._delta("response.reasoning_text.delta", item_id, index, token), True
            yield self._event("response.reasoning_text.done", **where, text=output.text), False
            item["content"] = [{"type": "reasoning_text", "text": output.text}]
        yield self._done(index, item)

    def _summary_part(self, where: Json, text: str) -> Iterator[Step]:
        part = {"type": "summary_text", "text": ""}
        yield self._event("response.reasoning_summary_part.added", **where, part=part), False
        for token in split_tokens(text):
            yield self._event("response.reasoning_summary_text.delta", **where, delta=token), True
        yield self._event("response.reasoning_summary_text.done", **where, text=text), False
        yield self._event("response.reasoning_summary_part.done", **where, part=part | {"text": text}), False

    def _call(self, index: int, output: ToolCall) -> Iterator[Step]:
        item_id = new_id("fc")
        call_id = output.call_id or f"call_{secrets.token_hex(12)}"
        item: Json = {"id": item_id, "type": "function_call", "status": "in_progress"}
        item |= {"arguments": "", "call_id": call_id, "name": output.name}
        arguments = output.json_arguments()
        where = {"item_id": item_id, "output_index": index}
        yield self._added(index, item)
        for piece in split_arguments(arguments):
            yield self._event("response.function_call_arguments.delta", **where, delta=piece), True
        yield self._event("response.function_call_arguments.done", **where, arguments=arguments), False
        yield self._done(index, item | {"status": "completed", "arguments": arguments})

    def _search(self, index: int, item_id: str, kind: str, result: Json) -> Iterator[Step]:
        item: Json = {"id": item_id, "type": kind, "status": "in_progress"}
        where = {"item_id": item_id, "output_index": index}
        yield self._added(index, item | ({"queries": [], "results": None} if kind == "file_search_call" else {}))
        for state in ("in_progress", "searching", "completed"):
            yield self._event(f"response.{kind}.{state}", **where), False
        yield self._done(index, item | result | {"status": "completed"})

    def _approval(self, index: int, output: McpApproval) -> Iterator[Step]:
        item: Json = {"id": output.request_id, "type": "mcp_approval_request", "server_label": output.server}
        item |= {"name": output.name, "arguments": json.dumps(output.arguments)}
        yield self._added(index, item)
        yield self._done(index, item)

    def _mcp_call(self, index: int, output: McpCall) -> Iterator[Step]:
        item: Json = {"id": new_id("mcp"), "type": "mcp_call", "server_label": output.server, "name": output.name}
        item |= {"arguments": json.dumps(output.arguments), "output": None, "error": None}
        where = {"item_id": item["id"], "output_index": index}
        yield self._added(index, item)
        for state in ("in_progress", "completed"):
            yield self._event(f"response.mcp_call.{state}", **where), False
        yield self._done(index, item | {"output": output.output})

    def _image(self, index: int, output: Image) -> Iterator[Step]:
        item_id = new_id("ig")
        where = {"item_id": item_id, "output_index": index}
        item: Json = {"id": item_id, "type": "image_generation_call", "status": "in_progress"}
        yield self._added(index, item)
        for state in ("in_progress", "generating"):
            yield self._event(f"response.image_generation_call.{state}", **where), False
        for n, part in enumerate(output.partial):
            data = {"partial_image_index": n, "partial_image_b64": base64.b64encode(part).decode()}
            yield self._event("response.image_generation_call.partial_image", **where, **data), True
        yield self._event("response.image_generation_call.completed", **where), False
        yield self._done(index, item | {"status": "completed", "result": base64.b64encode(output.data).decode()})

    def _added(self, index: int, item: Json) -> Step:
        return self._event("response.output_item.added", output_index=index, item=item), False

    def _done(self, index: int, item: Json) -> Step:
        self.output.append(item)
        return self._event("response.output_item.done", output_index=index, item=item), False

    def _delta(self, kind: str, item_id: str, index: int, delta: str, more: str = "") -> bytes:
        """Return what `_event` returns for a delta, but without building a dict: this is the hot path."""
        self._sequence += 1
        self._tokens += 1
        return (
            f'event: {kind}\ndata: {{"type":"{kind}","item_id":"{item_id}","output_index":{index},"content_index":0,'
            f'"delta":{quote(delta)}{more},"obfuscation":"{_PADDING[self._sequence & 15]}",'
            f'"sequence_number":{self._sequence}}}\n\n'
        ).encode()

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._sequence += 1
        if kind.endswith(".delta"):
            self._tokens += 1
        data = {"type": kind, **fields, "sequence_number": self._sequence}
        return f"event: {kind}\ndata: {_dump(data)}\n\n".encode()

    def _response(self, status: str) -> Json:
        request = self._request
        ended = status in {"completed", "incomplete"}
        incomplete = {"reason": self._answer.incomplete} if status == "incomplete" else None
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "background": False,
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": None,
            "incomplete_details": incomplete,
            "instructions": request.get("instructions"),
            "max_output_tokens": request.get("max_output_tokens"),
            "model": request.get("model", "gpt-test"),
            "output": list(self.output),
            "parallel_tool_calls": True,
            "previous_response_id": request.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": request.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": request.get("tool_choice", "auto"),
            "tools": request.get("tools", []),
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self._usage() if ended else None,
            "user": None,
            "metadata": {},
        }

    def _usage(self) -> Json:
        prompt, thinking = _prompt_tokens(self._request), _reasoning_tokens(self._answer)
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._tokens,
            "output_tokens_details": {"reasoning_tokens": thinking},
            "total_tokens": prompt + self._tokens,
        }


class ChatWire:
    """`POST /v1/chat/completions`; sends reasoning as `reasoning_content`, like the servers of open models."""

    def __init__(self, answer: Answer, request: Mapping[str, Any]) -> None:
        self._answer = answer
        self._request = request
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(14)}",
            "created": int(time.time()),
            "model": request.get("model", "gpt-test"),
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        }
        self.output: Sequence[Json] = ()
        self._tokens = 0
        self._calls: list[Json] = []

    def steps(self) -> Iterator[Step]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None}), False
        for output in self._answer.outputs():
            match output:
                case Text():
                    yield from self._deltas("content", output.pieces())
                    if output.citations:
                        yield self._chunk({"annotations": _chat_annotations(output.citations)}), False
                case Refusal():
                    yield from self._deltas("refusal", split_tokens(output.text))
                case Reasoning():
                    yield from self._deltas("reasoning_content", split_tokens(_thinking(output)))
                case ToolCall():
                    yield from self._call(output)
        yield self._chunk({}, finish_reason=self._finish_reason()), False
        if (self._request.get("stream_options") or {}).get("include_usage"):
            yield self._data({"choices": [], "usage": self._usage()}), False
        yield b"data: [DONE]\n\n", False

    def breaking(self, failure: Failure, how: Break) -> bytes:
        return f"data: {_dump({'error': failure.error()})}\n\n".encode()

    def body(self) -> Json:
        for _ in self.steps():
            pass
        outputs = self._answer.outputs()
        citations = [c for o in outputs if isinstance(o, Text) for c in o.citations]
        message: Json = {
            "role": "assistant",
            "content": self._answer.full_text() or None,
            "refusal": "".join(o.text for o in outputs if isinstance(o, Refusal)) or None,
            "annotations": _chat_annotations(citations),
        }
        if thoughts := "\n\n".join(_thinking(o) for o in outputs if isinstance(o, Reasoning)):
            message["reasoning_content"] = thoughts
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason()}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def _deltas(self, field: str, tokens: Sequence[str]) -> Iterator[Step]:
        """The hot path: what `_chunk` would give, with all but the token encoded once."""
        if not tokens:
            return
        before, after = self._chunk({field: "\0"}).decode().split(_dump("\0"))
        for token in tokens:
            self._tokens += 1
            yield f"{before}{quote(token)}{after}".encode(), True

    def _call(self, call: ToolCall) -> Iterator[Step]:
        index, call_id = len(self._calls), call.call_id or f"call_{secrets.token_hex(12)}"
        function = {"name": call.name, "arguments": call.json_arguments()}
        self._calls.append({"id": call_id, "type": "function", "function": function})
        first: Json = {"index": index, "id": call_id, "type": "function"}
        yield self._chunk({"tool_calls": [first | {"function": function | {"arguments": ""}}]}), False
        for piece in split_arguments(function["arguments"]):
            self._tokens += 1
            yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), True

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._usage_wanted() else {}
        return self._data({"choices": [choice], **usage, "obfuscation": _PADDING[self._tokens & 15]})

    def _data(self, fields: Json) -> bytes:
        return f"data: {_dump({**self._head, 'object': 'chat.completion.chunk', **fields})}\n\n".encode()

    def _usage_wanted(self) -> bool:
        return bool((self._request.get("stream_options") or {}).get("include_usage"))

    def _finish_reason(self) -> str:
        if self._answer.incomplete:
            return {"max_output_tokens": "length", "content_filter": "content_filter"}[self._answer.incomplete]
        return "tool_calls" if self._calls else "stop"

    def _usage(self) -> Json:
        prompt, thinking = _prompt_tokens(self._request), _reasoning_tokens(self._answer)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self._tokens,
            "total_tokens": prompt + self._tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thinking, "audio_tokens": 0},
        }


def _message(item_id: str, status: str, content: list[Json]) -> Json:
    return {"id": item_id, "type": "message", "status": status, "content": content, "role": "assistant"}


def _output_text(text: str, annotations: list[Json]) -> Json:
    return {"type": "output_text", "annotations": annotations, "logprobs": [], "text": text}


def _web_search(search: WebSearch) -> Json:
    sources = [{"type": "url", "url": url} for url in search.sources]
    action: Json = {"type": "search", "query": search.query, "queries": [search.query]}
    return {"action": action | ({"sources": sources} if sources else {})}


def _file_search(search: FileSearch) -> Json:
    if search.results is None:
        return {"queries": list(search.queries), "results": None}
    results = [
        {"file_id": f"file-{n}", "filename": name, "score": 0.9, "text": "…", "attributes": {}}
        for n, name in enumerate(search.results)
    ]
    return {"queries": list(search.queries), "results": results}


def _annotation(citation: AnyCitation) -> Json:
    match citation:
        case FileCitation():
            file = {"file_id": citation.file_id, "filename": citation.filename, "index": citation.index}
            return {"type": "file_citation", **file}
        case ContainerCitation():
            file = {"container_id": citation.container_id, "file_id": citation.file_id, "filename": citation.filename}
            where = {"start_index": citation.start, "end_index": citation.end}
            return {"type": "container_file_citation", **file, **where}
    return {
        "type": "url_citation",
        "start_index": citation.start,
        "end_index": citation.end,
        "title": citation.title,
        "url": citation.url,
    }


def _chat_annotations(citations: Sequence[AnyCitation]) -> list[Json]:
    kind = "url_citation"
    urls = [_annotation(citation) for citation in citations if isinstance(citation, Citation)]
    inner = [{k: v for k, v in annotation.items() if k != "type"} for annotation in urls]
    return [{"type": kind, kind: fields} for fields in inner]


def _thinking(output: Reasoning) -> str:
    return output.text or "\n\n".join(output.summary)


def _reasoning_tokens(answer: Answer) -> int:
    return sum(len(split_tokens(_thinking(o))) for o in answer.outputs() if isinstance(o, Reasoning))


def _prompt_tokens(request: Mapping[str, Any]) -> int:
    return len(_dump(request.get("input", request.get("messages", "")))) // 4
