"""Requests with something wrong in them: valid bodies of every operation and route, changed at random places."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.chatkit import user_input

Json = Any
NOWHERE = "thr_0123456789abcdef0123456789abcdef"

STRINGS: Sequence[str] = [
    "", " ", "\0", "a\0b", "\ud83d", "\udc00x", "\ud83d\ude00", "é", "\u202e", "e\u0301" * 50, "x" * 300, "x" * 5000,
    "\ufeff", "{}", "null", "-1", "1e999", "' OR 1=1 --", "%", "_", "../../etc/passwd", "\r\n\r\n", "javascript:",
    "data:,", "attachment:atc_0123456789abcdef0123456789abcdef", '"url":"attachment:x"', "𝕬", "\u2028", "image/png",
]  # fmt: skip
VALUES: Sequence[Json] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**4000, 1.5, -0.0, 1e308, float("nan"),
    float("inf"), [], {}, [[]], [None], {"": None}, {"type": "x"}, [1, "a", None, {}], {"a": {"b": {"c": []}}},
    *STRINGS,
]  # fmt: skip
"""Wrong types, and edges of the right one."""
HEADERS: Sequence[str] = [
    "accept", "accept-language", "chatkit-frame-instance-id", "x-request-id", "idempotency-key", "last-event-id",
    "if-none-match", "cookie", "content-type", "host", "origin", "sec-fetch-site", "x-chatkit-detach", "authorization",
    "content-length", "range", "if-modified-since", "x-forwarded-for", "transfer-encoding", "upgrade", "expect",
]  # fmt: skip


@dataclass
class Fuzzed:
    """A request."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str | bytes] = field(default_factory=dict)
    query: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]!r} {self.query[:200]!r} {self.headers} {self.body[:2000]!r}"


@dataclass
class World:
    """What exists, so that requests get past the first check."""

    thread_id: str
    items: dict[str, str]
    attachment_id: str
    turn_id: str
    foreign_ids: Sequence[str] = ()
    """Ids of what another user has."""

    def operations(self) -> dict[str, Json]:
        """Return valid parameters of all operations."""
        thread, item = (
            {"thread_id": self.thread_id},
            {"thread_id": self.thread_id, "item_id": self.items["user_message"]},
        )
        widget = {"thread_id": self.thread_id, "item_id": self.items["widget"]}
        mention = {"type": "input_tag", "id": "m", "text": "M", "data": {"a": "b"}, "group": "g", "interactive": True}
        question = {"thread_id": self.thread_id, "item_id": self.items["structured_input"]}
        answers = {"q1": {"values": ["a"], "skipped": False}, "q2": {"values": ["because"]}}
        message = user_input("Hello", quoted_text="quoted")
        message["content"].append(mention)
        options = {"model": None, "tool_choice": {"id": "search"}}
        return {
            "threads.create": {"input": message},
            "threads.add_user_message": thread | {"input": {**message, "inference_options": options}},
            "threads.add_client_tool_output": thread | {"result": {"a": [1, 2.5, None]}},
            "threads.add_structured_input": question | {"input": {"status": "answered", "answers": answers}},
            "threads.retry_after_item": item,
            "threads.custom_action": widget | {"action": {"type": "choose", "payload": {"a": "b"}}},
            "threads.get_by_id": thread,
            "threads.list": {"limit": 5, "order": "asc", "after": None},
            "threads.update": thread | {"title": "A title"},
            "threads.delete": {"thread_id": NOWHERE},
            "items.list": thread | {"limit": 5, "order": "desc", "after": self.items["user_message"]},
            "items.feedback": thread | {"item_ids": [self.items["assistant_message"]], "kind": "positive"},
            "attachments.create": {"name": "a.txt", "size": 3, "mime_type": "text/plain"},
            "attachments.delete": {"attachment_id": self.attachment_id},
            "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/webm;codecs=opus"},
            "threads.sync_custom_action": widget | {"action": {"type": "choose", "payload": {"a": "b"}}},
        }

    def paths(self) -> list[tuple[str, str]]:
        """Return method and path of all other routes."""
        turn, attachment = self.turn_id, self.attachment_id
        return [
            ("GET", f"/api/turns/{turn}"),
            ("GET", f"/api/turns/{turn}/events"),
            ("POST", f"/api/turns/{turn}/stop"),
            ("POST", f"/api/turns/{turn}/retry"),
            ("POST", f"/api/threads/{self.thread_id}/stop"),
            ("PUT", f"/api/attachments/{attachment}/content"),
            ("POST", f"/api/attachments/{attachment}/content"),
            ("GET", f"/api/attachments/{attachment}/content"),
            ("GET", "/api/entities"),
            ("GET", "/api/chatkit/options"),
            ("GET", "/api/stream/ws"),
            ("GET", "/healthz"),
            ("GET", "/readyz"),
            ("HEAD", "/api/stream/health"),
            ("GET", "/api/openapi.json"),
            ("GET", "/"),
            ("GET", "/favicon.svg"),
            ("OPTIONS", "/chatkit"),
        ]


class Fuzzer:
    """Makes requests from a seed: equal seeds make equal requests for a world."""

    def __init__(self, seed: int, world: World) -> None:
        self.random = random.Random(seed)
        self.world = world

    def request(self) -> Fuzzed:
        """Return the next request."""
        kinds: list[Callable[[], Fuzzed]] = [self.operation, self.message, self.entity, self.upload, self.other]
        (make,) = self.random.choices(kinds, weights=[70, 10, 4, 6, 10])
        fuzzed = make()
        if self.random.random() < 0.3:
            fuzzed.headers[self.random.choice(HEADERS)] = self.header_value()
        return fuzzed

    def operation(self) -> Fuzzed:
        """Return an operation of the protocol."""
        operation, params = self.random.choice(list(self.world.operations().items()))
        headers: dict[str, str | bytes] = {"content-type": "application/json"}
        if self.random.random() < 0.5:
            headers["chatkit-frame-instance-id"] = str(self.random.getrandbits(64))
        path = self.random.choice(["/chatkit", "/chatkit", "/chatkit/"])
        return Fuzzed("POST", path, self.body({"type": operation, "params": params}), headers)

    def message(self) -> Fuzzed:
        """Return a message of a plain client."""
        message: Json = {"message": "Hi", "thread_id": self.world.thread_id, "attachments": [], "model": None}
        headers: dict[str, str | bytes] = {"content-type": "application/json"}
        if self.random.random() < 0.3:
            headers["accept"] = "application/x-ndjson"
        path = self.random.choice(["/api/message", "/api/stream/message"])
        return Fuzzed("POST", path, self.body(message | {"tool_choice": None}), headers)

    def entity(self) -> Fuzzed:
        """Return a preview of a mention."""
        entity = {"id": "a", "title": "A", "icon": "bolt", "interactive": True, "group": "g", "data": {"a": "b"}}
        return Fuzzed("POST", "/api/entities/preview", self.body(entity), {"content-type": "application/json"})

    def upload(self) -> Fuzzed:
        """Return a form with a file, changed as bytes."""
        name = self.random.choice(STRINGS).encode("utf-8", "surrogatepass")
        content = self.random.choice([b"text", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"\xff\xfe", b"", b"{}", b"GIF89a"])
        form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\n' % name
        form += b"content-type: %b\r\n\r\n" % self.random.choice(
            [b"text/plain", b"image/png", b"", b"a" * 300, b"\xff/\0"]
        )
        form += content + b"\r\n--b--\r\n"
        kind = self.random.choice(
            ["multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary="]
        )
        return Fuzzed("POST", "/api/attachments", self.change_bytes(form, 0.5), {"content-type": kind})

    def other(self) -> Fuzzed:
        """Return a request to any route, with changes in its path and query."""
        method, path = self.random.choice(self.world.paths())
        query = b""
        if self.random.random() < 0.5:
            name = self.random.choice([b"after", b"token", b"q", b"x", b"limit"])
            query = name + b"=" + self.random.choice(STRINGS).encode("utf-8", "surrogatepass")
        if self.random.random() < 0.5:
            steps = path.split("/")
            steps[self.random.randrange(len(steps))] = self.random.choice(STRINGS)
            path = "/" + "/".join(steps).lstrip("/")
        return Fuzzed(method, path.encode("utf-8", "replace").decode(), self.random.randbytes(20), {}, query)

    def body(self, value: Json) -> bytes:
        """Return JSON of a value with one to three changes, or broken JSON."""
        value = copy.deepcopy(value)
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 3])):
            value = self.change(value)
        body = json.dumps(value).encode()
        if self.random.random() < 0.15:
            body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self.change_bytes(body, 0.1)

    def change(self, value: Json) -> Json:
        """Replace, remove, add or nest something at a random place."""
        places = list(_places(value))
        container, key = self.random.choice(places) if places else (None, None)
        if container is None:
            return self.value()
        match self.random.randrange(6):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[self.random.choice(STRINGS)] = self.value()
            case 2:
                container[key] = [container[key]] * self.random.choice([1, 2, 1500])
            case 3:
                deep: Json = self.value()
                for _ in range(self.random.choice([3, 60, 180])):
                    deep = {"a": deep} if self.random.random() < 0.5 else [deep]
                container[key] = deep
            case _:
                container[key] = self.value()
        return value

    def value(self) -> Json:
        """Return a wrong value, or a right one that is another user's."""
        if self.world.foreign_ids and self.random.random() < 0.2:
            return self.random.choice(self.world.foreign_ids)
        return copy.deepcopy(self.random.choice(VALUES))

    def change_bytes(self, body: bytes, probability: float) -> bytes:
        """Cut, flip, or insert bytes, with this probability."""
        if self.random.random() >= probability or not body:
            return body
        at = self.random.randrange(len(body))
        match self.random.randrange(5):
            case 0:
                return body[:at]
            case 1:
                return body[:at] + self.random.randbytes(3) + body[at + 1 :]
            case 2:
                return (
                    body[:at]
                    + self.random.choice([b"\0", b"\xff", b"\\ud83d", b"NaN", b"1e999", b"[" * 300])
                    + body[at:]
                )
            case 3:
                return b"\xef\xbb\xbf" + body
            case _:
                return body + body

    def header_value(self) -> str | bytes:
        """Return the value of a header, as the HTTP server passes it: any bytes but line ends and NUL."""
        words = [
            *STRINGS,
            "http://[",
            "null",
            "*",
            "text/event-stream",
            "chatkit_user=x",
            "en;q=,",
            'W/"a", *',
            "9" * 5000,
        ]
        value = self.random.choice(words).encode("utf-8", "surrogatepass")
        return value.translate(None, b"\r\n\0")


def _places(value: Json) -> list[tuple[Any, Any]]:
    """Return every container in the value with each of its keys."""
    places: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            places += _places(value[key])
    return places
