"""A model endpoint that answers with the very bytes that a test gives it, whatever they are."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Self

Json = dict[str, Any]
Reply = bytes | list[bytes]
"""A whole HTTP response."""

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    """Return an event of Chat Completions with one choice; `fields` replace those of the chunk."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return data({"choices": [choice]} | fields)


def data(fields: Json) -> bytes:
    """Return an event of Chat Completions with these fields."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps(chunk | fields)}\n\n".encode()


def completion(message: Json, finish: str = "stop") -> Json:
    """Return a chat completion that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def http(body: bytes, content_type: str | None = "text/event-stream", status: int = 200, **headers: str) -> bytes:
    """Return a response that ends where the connection does."""
    lines = [f"HTTP/1.1 {status} X", "Connection: close"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def stream(*events: bytes) -> bytes:
    """Return a stream of events that ends where the connection does."""
    return http(b"".join(events))


def as_json(value: Any, status: int = 200, **headers: str) -> bytes:
    """Return a response of JSON."""
    return http(json.dumps(value).encode(), "application/json", status, **headers)


class ResponsesEvents:
    """Builds events of the Responses API."""

    def __init__(self) -> None:
        self.output: list[Json] = []
        self._count = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        """Return one event."""
        self._count += 1
        body = json.dumps({"type": kind, "sequence_number": self._count} | fields)
        return f"event: {kind}\ndata: {body}\n\n".encode()

    def response(self, status: str, **fields: Any) -> Json:
        """Return the response object."""
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": "m",
            "output": self.output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        } | fields

    def start(self) -> bytes:
        """Return the first event."""
        return self.event("response.created", response=self.response("in_progress", output=[]))

    def message(self, text: str, *, index: int, item_id: str, annotations: list[Any] | None = None) -> bytes:
        """Return the events of a message."""
        part = {"type": "output_text", "text": text, "annotations": annotations or []}
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        self.output.append(item)
        place = {"item_id": item_id, "output_index": index, "content_index": 0}
        marks = [
            self.event("response.output_text.annotation.added", annotation_index=number, annotation=mark, **place)
            for number, mark in enumerate(annotations or [])
        ]
        return b"".join(
            [
                self.event("response.output_item.added", output_index=index, item=item | {"content": []}),
                self.event("response.content_part.added", part=part | {"text": "", "annotations": []}, **place),
                self.event("response.output_text.delta", delta=text, logprobs=[], **place),
                *marks,
                self.event("response.output_text.done", text=text, logprobs=[], **place),
                self.event("response.content_part.done", part=part, **place),
                self.event("response.output_item.done", output_index=index, item=item),
            ]
        )

    def end(self, status: str = "completed", **fields: Any) -> bytes:
        """Return the last event."""
        return self.event(f"response.{status}", response=self.response(status, **fields))


class RawEndpoint:
    """Serves the replies in `replies`, chosen by the last user message, else by `default`."""

    def __init__(self, default: Callable[[Json], Reply]) -> None:
        self.default = default
        self.replies: dict[str, Reply] = {}
        self.bodies: list[Json] = []
        self.heads: list[str] = []

    @property
    def base_url(self) -> str:
        """The `base_url` for an OpenAI client."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
            self.bodies.append(body)
            self.heads.append(head)
            reply = self._reply(body)
            writer.writelines([reply] if isinstance(reply, bytes) else reply)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _reply(self, body: Json) -> Reply:
        messages = body.get("messages") or body.get("input") or []
        if messages and messages[-1].get("role") == "user":
            return self.replies.get(_text(messages[-1])) or self.default(body)
        return self.default(body)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])
