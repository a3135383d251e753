"""A client that sends the requests of the stock widget and applies the events to the thread as the widget does.

`ChatKitClient` is one browser tab: its cookies, its frame id, and a `Picture` of each thread it has shown. Tests
compare that picture with `reload`, which loads the thread as a fresh tab would.
"""

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from tests.support.sse import Frame, SseParser

Json = dict[str, Any]

STREAMING = frozenset({
    "threads.create",
    "threads.add_user_message",
    "threads.add_client_tool_output",
    "threads.add_structured_input",
    "threads.retry_after_item",
    "threads.custom_action",
})  # fmt: skip
EVERYTHING = 9999  # the limit that the widget sends


@dataclass
class Picture:
    """A thread as the widget shows it."""

    thread: Json = field(default_factory=dict)
    items: list[Json] = field(default_factory=list)
    tool_calls: list[Json] = field(default_factory=list)
    """Client tool calls, which run when they arrive, are never shown, and are skipped on load."""
    notices: list[Json] = field(default_factory=list, compare=False)
    """Why the last answer failed: only after a load. Live, the widget shows the error itself."""

    def find(self, item_id: str) -> Json | None:
        return next((item for item in self.items if item["id"] == item_id), None)

    def of_type(self, kind: str) -> list[Json]:
        return [item for item in self.items if item["type"] == kind]

    def texts(self) -> list[tuple[str, str]]:
        """Return the conversation as (role, text) of each message."""
        messages = (item for item in self.items if item["type"] in {"user_message", "assistant_message"})
        return [(item["type"].removesuffix("_message"), text_of(item)) for item in messages]

    def load(self, items: Sequence[Json]) -> None:
        """Add items as returned by `threads.get_by_id` and `items.list`."""
        self.items += [item for item in items if item["type"] != "client_tool_call" and not _is_notice(item)]
        self.notices += filter(_is_notice, items)

    def remove_after(self, item_id: str) -> None:
        """Remove the items after a message, as the widget does on Retry."""
        ids = [item["id"] for item in self.items]
        if item_id in ids:
            del self.items[ids.index(item_id) + 1 :]
            self.notices.clear()

    def apply(self, event: Json) -> None:
        """Apply one event of a stream; ignore unknown events."""
        match event["type"]:
            case "thread.created" | "thread.updated":
                self.thread = {name: value for name, value in event["thread"].items() if name != "items"}
            case "thread.item.added" | "thread.item.done":
                self._put(copy.deepcopy(event["item"]), new=True)
            case "thread.item.replaced":
                self._put(copy.deepcopy(event["item"]), new=False)
            case "thread.item.removed":
                self.items = [item for item in self.items if item["id"] != event["item_id"]]
                self.notices = [item for item in self.notices if item["id"] != event["item_id"]]
            case "thread.item.updated":
                item = self.find(event["item_id"])
                if item is not None:
                    _update(item, copy.deepcopy(event["update"]))

    def _put(self, item: Json, new: bool) -> None:
        items = self.tool_calls if item["type"] == "client_tool_call" else self.items
        items = self.notices if _is_notice(item) else items
        for index, existing in enumerate(items):
            if existing["id"] == item["id"]:
                items[index] = item
                return
        if new:
            items.append(item)


@dataclass
class Reply:
    """The response to one POST: a stream's frames, or a JSON body."""

    status: int
    headers: CIMultiDictProxy[str]
    picture: Picture
    frames: list[Frame] = field(default_factory=list)
    body: Any = None

    @property
    def events(self) -> list[Json]:
        return [frame.json for frame in self.frames if frame.comment is None]

    @property
    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event["type"] for event in self.events]

    @property
    def error(self) -> Json | None:
        """The stream's `error` event, or the JSON body of an error response."""
        if self.status >= 400:
            return self.body if isinstance(self.body, dict) else {"message": self.body}
        return next((event for event in self.events if event["type"] == "error"), None)

    @property
    def thread_id(self) -> str:
        thread_id = self.picture.thread["id"]
        assert isinstance(thread_id, str)
        return thread_id

    @property
    def user_item(self) -> Json:
        """The user's message as echoed by the server."""
        return next(e["item"] for e in self.events if e.get("item", {}).get("type") == "user_message")

    @property
    def text(self) -> str:
        """The text of the assistant messages that were finished in this reply."""
        done = [event["item"] for event in self.events if event["type"] == "thread.item.done"]
        return "".join(text_of(item) for item in done if item["type"] == "assistant_message")

    def of_type(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["type"] == kind]


class LiveReply(Reply):
    """A reply that is read event by event; leaving its `async with` block closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse, picture: Picture) -> None:
        super().__init__(response.status, response.headers, picture)
        self._response = response
        self._parser = SseParser()
        self._arrived: deque[Frame] = deque()

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        """Return the next event after applying it to the picture."""
        while (frame := await self.read_frame()) is not None:
            if frame.comment is None:
                return frame.json
        raise StopAsyncIteration

    async def read_frame(self) -> Frame | None:
        """Return the next event or comment, or None at the end."""
        while not self._arrived:
            chunk = await self._response.content.readany()
            if not chunk:
                return None
            self._arrived.extend(self._parser.feed(chunk))
        frame = self._arrived.popleft()
        self.frames.append(frame)
        if frame.comment is None:
            self.picture.apply(frame.json)
        return frame

    async def wait_for(self, kind: str, within: float = 30.0) -> Json:
        """Read until the next event of this type. Raises `EOFError` or `TimeoutError` if none arrives."""
        async with asyncio.timeout(within):
            async for event in self:
                if kind in {event["type"], event.get("update", {}).get("type")}:
                    return event
        raise EOFError(f"the stream ended without {kind}; it had {self.types}")

    async def read(self) -> Self:
        """Read to the end."""
        if self.is_stream:
            while await self.read_frame() is not None:
                pass
        elif self.headers.get("content-type", "").startswith("application/json"):
            self.body = await self._response.json()
        else:
            self.body = await self._response.text()
        return self


class ChatKitClient:
    """One tab with the stock widget.

    async with ChatKitClient(base_url) as tab:
        reply = await tab.create("Hello")
        assert tab.pictures[reply.thread_id] == await tab.reload(reply.thread_id)
    """

    def __init__(
        self,
        base_url: str,
        path: str = "/chatkit",
        *,
        locale: str = "en-US",
        headers: Mapping[str, str] | None = None,
        frame: bool = True,
        cookies: aiohttp.abc.AbstractCookieJar | None = None,
        timeout: float = 60.0,
    ) -> None:
        """`frame=False` omits the frame id, like a client other than the widget; `cookies` shares another tab's jar."""
        self.base_url = base_url
        self.frame_id = str(uuid.uuid4())
        self.pictures: dict[str, Picture] = {}
        self._url = base_url + path
        self._headers = {"content-type": "application/json", "accept-language": locale}
        if frame:
            self._headers["chatkit-frame-instance-id"] = self.frame_id
        self._headers |= headers or {}
        # unsafe: the server has an IP address, whose cookies a jar rejects by default.
        # Browsers, too, send Secure cookies to a server on the same machine.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(base_url))
        self.cookies = jar if cookies is None else cookies
        self.session = aiohttp.ClientSession(cookie_jar=self.cookies, timeout=aiohttp.ClientTimeout(total=timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.session.close()

    @asynccontextmanager
    async def open(self, op: str, params: Json, headers: Mapping[str, str] | None = None) -> AsyncIterator[LiveReply]:
        """POST and read live; leaving the block early closes the connection, as closing a tab does."""
        accept = {"accept": "text/event-stream"} if op in STREAMING else {}
        all_headers = {**self._headers, **accept, **(headers or {})}
        picture = self._picture_before(op, params)
        async with self.session.post(self._url, json={"type": op, "params": params}, headers=all_headers) as response:
            reply = LiveReply(response, picture)
            try:
                yield reply
            finally:
                if picture.thread:
                    self.pictures[picture.thread["id"]] = picture
                if not response.content.at_eof():
                    response.close()

    async def post(self, op: str, params: Json | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """POST any operation and read the reply to its end."""
        async with self.open(op, params or {}, headers) as reply:
            return await reply.read()

    async def create(self, text: str, **more: Any) -> Reply:
        """Send the first message of a new thread; `more` is merged into the input."""
        return await self.post("threads.create", {"input": user_input(text, **more)})

    async def send(self, thread_id: str, text: str, **more: Any) -> Reply:
        """Send the next message of a thread."""
        return await self.post("threads.add_user_message", {"thread_id": thread_id, "input": user_input(text, **more)})

    async def retry(self, thread_id: str, item_id: str) -> Reply:
        """Click Retry or Regenerate below the user message `item_id`."""
        return await self.post("threads.retry_after_item", {"thread_id": thread_id, "item_id": item_id})

    async def action(self, thread_id: str, kind: str, payload: Any = None, item_id: str | None = None) -> Reply:
        """Send a custom action; without an item, as `sendCustomAction` does."""
        params: Json = {"thread_id": thread_id, "action": {"type": kind, "payload": payload}}
        return await self.post("threads.custom_action", params | ({"item_id": item_id} if item_id else {}))

    async def tool_output(self, thread_id: str, result: Any) -> Reply:
        """Send what the page's tool handler returned; the request has no call id."""
        return await self.post("threads.add_client_tool_output", {"thread_id": thread_id, "result": result})

    async def feedback(self, thread_id: str, item_ids: Sequence[str], kind: str = "positive") -> Reply:
        params = {"thread_id": thread_id, "item_ids": list(item_ids), "kind": kind}
        return await self.post("items.feedback", params)

    async def get(self, thread_id: str) -> Json:
        """Load the thread. Like all loading methods, raises `AssertionError` for a status other than 200."""
        return await self._load("threads.get_by_id", {"thread_id": thread_id})

    async def list(self, limit: int = EVERYTHING, order: str = "desc", after: str | None = None) -> Json:
        """Load one page of the thread list."""
        return await self._load("threads.list", {"limit": limit, "order": order} | ({"after": after} if after else {}))

    async def items(
        self, thread_id: str, limit: int = EVERYTHING, order: str = "asc", after: str | None = None
    ) -> Json:
        """Load one page of a thread's items."""
        params = {"thread_id": thread_id, "limit": limit, "order": order} | ({"after": after} if after else {})
        return await self._load("items.list", params)

    async def history(self) -> Sequence[Json]:
        """Load all threads, as the widget does when it starts."""
        threads: Sequence[Json] = []
        page = await self.list()
        threads = page["data"]
        while page["has_more"]:
            page = await self.list(after=threads[-1]["id"])
            threads = [*threads, *page["data"]]
        return threads

    async def reload(self, thread_id: str) -> Picture:
        """Load the thread as a fresh tab does, page by page."""
        thread = await self.get(thread_id)
        page = thread.pop("items")
        picture = Picture(thread)
        picture.load(page["data"])
        while page["has_more"]:
            page = await self.items(thread_id, after=picture.items[-1]["id"])
            picture.load(page["data"])
        return picture

    async def _load(self, op: str, params: Json) -> Json:
        reply = await self.post(op, params)
        assert reply.status == 200, (reply.status, reply.body)
        assert isinstance(reply.body, dict)
        return reply.body

    def _picture_before(self, op: str, params: Json) -> Picture:
        thread_id = params.get("thread_id")
        if op not in STREAMING or thread_id is None:
            return Picture()
        picture = self.pictures.setdefault(thread_id, Picture({"id": thread_id}))
        if op == "threads.retry_after_item":
            picture.remove_after(params["item_id"])
        return picture


def user_input(text: str, **more: Any) -> Json:
    """Return a user message exactly as the widget sends it."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "quoted_text": "", "attachments": [], "inference_options": {}, **more}


def text_of(item: Json) -> str:
    """Return the text of a message item."""
    return "".join(part.get("text", "") for part in item["content"])


def _is_notice(item: Json) -> bool:
    return str(item["id"]).startswith("turn_notice_")


def _update(item: Json, update: Json) -> None:
    kind = update["type"]
    if kind.startswith("assistant_message."):
        _update_message(item["content"], update)
    elif kind.startswith("workflow.task."):
        _put_at(item["workflow"]["tasks"], update["task_index"], update["task"])
    elif kind == "generated_image.updated":
        item["image"] = update["image"]
    elif kind == "widget.root.updated":
        item["widget"] = update["widget"]
    elif kind == "widget.component.updated":
        item["widget"] = _replace_component(item["widget"], update["component_id"], update["component"])
    elif kind == "widget.streaming_text.value_delta":
        component = _find_component(item["widget"], update["component_id"])
        if component is not None:
            component["value"] = component.get("value", "") + update["delta"]
            component["streaming"] = not update["done"]


def _update_message(content: list[Json], update: Json) -> None:
    index = update["content_index"]
    while len(content) < index or (len(content) == index and update["type"].endswith(("delta", "annotation_added"))):
        content.append({"type": "output_text", "text": "", "annotations": []})  # as chatkit pads the list
    match update["type"].rpartition(".")[2]:
        case "added" | "done":
            _put_at(content, index, update["content"])
        case "text_delta":
            content[index]["text"] += update["delta"]
        case "annotation_added":
            _put_at(content[index].setdefault("annotations", []), update["annotation_index"], update["annotation"])


def _put_at(values: list[Json], index: int, value: Json) -> None:
    if index < len(values):
        values[index] = value
    else:
        values.append(value)


def _children(component: Any) -> list[Json]:
    children = component.get("children", []) if isinstance(component, dict) else []
    return [children] if isinstance(children, dict) else children or []


def _find_component(component: Json, component_id: str) -> Json | None:
    if component.get("id") == component_id:
        return component
    matches = (_find_component(child, component_id) for child in _children(component))
    return next((match for match in matches if match is not None), None)


def _replace_component(component: Json, component_id: str, new: Json) -> Json:
    if component.get("id") == component_id:
        return new
    if "children" in component:
        component["children"] = [_replace_component(child, component_id, new) for child in _children(component)]
    return component
