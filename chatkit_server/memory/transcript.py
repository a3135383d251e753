"""Record the model's side of a turn: tool calls with their outputs, reasoning, and which agent answered last.

A visible item is recorded by its id only, never by its text. So if it is deleted, or cut off by a stop, the model does
not see more of it than the user.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

from agents import Agent
from pydantic import BaseModel

from ..models.returned_fields import bounded

Json = dict[str, Any]
Cut = Literal["length_limit", "content_filter"]

HOSTED = frozenset({"web_search_call", "file_search_call", "mcp_call"})
"""Calls that the provider executes; no other provider accepts them as input."""
CALLS = frozenset({"function_call", "custom_tool_call"})
OUTPUTS = frozenset({f"{call}_output" for call in CALLS})
RECORDED = HOSTED | CALLS | OUTPUTS | {"reasoning"}

MAX_OUTPUT = 200_000
"""Characters of one tool output that are stored."""
BASE64 = re.compile(r"data:[\w.+/-]+(;[\w=.+-]+)*;base64,[\w+/=-]*")


class Mark(NamedTuple):
    """A state of a transcript: how many entries and agents it had, and their size."""

    entries: int
    agents: int
    size: int


class Transcript:
    """Collects what happens in a turn, in order. Entries are plain JSON:

    - `{"item": {...}}`: an item of the Responses API, without images or files;
    - `{"shown": id}`: at this point the thread item with this id appeared; `"message"` has the provider's id and phase
      of a complete message, and the model's text if the item shows another rendering of it;
    - `{"left_out": type}`: an item that cannot be sent in a later request.
    """

    def __init__(self) -> None:
        self.origin_of: Callable[[Agent[Any]], str | None] = lambda agent: None
        """Returns which provider and model an agent's answers come from, see `Models.origin`."""
        self.model_of: Callable[[Agent[Any]], str | None] = lambda agent: None
        """Returns the name of an agent's model."""
        self.display_only: set[str] = set()
        """Ids of thread items that only display what the entries contain: thoughts, tool calls."""
        self.cut: Cut | None = None
        """Why the last answer is incomplete although its provider ended it properly."""
        self.version = 0
        """Counts changes; 0 while the entries contain nothing beyond the visible items."""
        self.size = 0
        """Approximate size of the model's items in characters."""
        self._entries: list[Json] = []
        self._agents: list[Agent[Any]] = []
        self._message_text: str | None = None

    def set_message_text(self, text: str | None) -> None:
        """Record how the agents got the user's message, if its author has changed the text; None if as it was."""
        if text != self._message_text:
            self._message_text = text
            self._changed(is_hidden=True)

    def add_agent(self, agent: Agent[Any]) -> None:
        """Record that this agent answers from now on."""
        self._agents.append(agent)
        self._changed()

    def add_shown(self, item_id: str) -> None:
        """Record that the thread item with this id appeared."""
        self._entries.append({"shown": item_id})
        self._changed()

    def complete_message(self, item_id: str, message: Any, *, text: str | None = None) -> None:
        """Record the provider's id and phase of the message that appeared as `item_id` and is now complete.

        `text` is the model's own text, if the item shows another rendering of it.
        """
        if any(part.type == "refusal" for part in message.content or []):
            return
        fields = {"id": message.id, "phase": getattr(message, "phase", None), "text": text}
        for entry in reversed(self._entries):
            if entry.get("shown") == item_id:
                entry["message"] = {name: value for name, value in fields.items() if value is not None}
                self.size += len(text or "")
                self._changed(is_hidden=text is not None)
                return

    def add_item(self, item: BaseModel | Mapping[str, Any]) -> None:
        """Record an item of the model, or the output of a tool."""
        if isinstance(item, BaseModel):
            item = item.model_dump(mode="json", exclude_none=True, warnings=False)
        kind = str(item.get("type"))
        entry: Json = {"item": _without_files(dict(item))} if kind in RECORDED else {"left_out": kind}
        self._entries.append(entry)
        self.size += len(str(entry))
        self._changed(is_hidden=True)

    def leave_out(self, kind: str) -> None:
        """Record that an item of this type was here that is not sent in a later request."""
        self._entries.append({"left_out": kind})
        self._changed()

    def open_calls(self) -> list[Json]:
        """Return the tool calls that have no output yet."""
        items = [entry["item"] for entry in self._entries if "item" in entry]
        returned = {item["call_id"] for item in items if item["type"] in OUTPUTS}
        return [item for item in items if item["type"] in CALLS and item["call_id"] not in returned]

    def mark(self) -> Mark:
        """Return the current state, for `revert`."""
        return Mark(len(self._entries), len(self._agents), self.size)

    def revert(self, mark: Mark) -> None:
        """Forget everything recorded since the mark: the items of that run were removed."""
        del self._entries[mark.entries :]
        del self._agents[mark.agents :]
        self.size = mark.size
        self._changed()

    def _changed(self, *, is_hidden: bool = False) -> None:
        if self.version or is_hidden:
            self.version += 1

    @property
    def agent(self) -> Agent[Any] | None:
        """The agent that answered last."""
        return self._agents[-1] if self._agents else None

    @property
    def model(self) -> str | None:
        """The model of the agent that answered last."""
        return self.model_of(self._agents[-1]) if self._agents else None

    def to_json(self) -> Json | None:
        """Return the value for `turns.transcript`; None if nothing was recorded."""
        if not self._entries and self._message_text is None:
            return None
        origins = {self.origin_of(agent) for agent in self._agents}
        return {
            "agent": self._agents[-1].name if self._agents else None,
            "origin": origins.pop() if len(origins) == 1 else None,
            "entries": self._entries,
        } | ({} if self._message_text is None else {"message": self._message_text})


turn_transcript: ContextVar[Transcript | None] = ContextVar("turn_transcript", default=None)
"""The transcript of the turn that the current task runs."""


def trim_output(output: str) -> str:
    """Return a tool output without base64, and with at most `MAX_OUTPUT` characters plus a note."""
    output = _without_base64(output)
    if len(output) <= MAX_OUTPUT:
        return output
    return f"{output[:MAX_OUTPUT]}\n[The output has {len(output)} characters; the rest is not stored.]"


def _without_files(item: Json) -> Json:
    """Return a copy without base64, with a trimmed output, and with what goes back to the endpoint that sent it."""
    provider_data = bounded(item.pop("provider_data", None) or {})
    copy: Json = _replace_files(item)
    if provider_data:
        copy["provider_data"] = provider_data
    if isinstance(output := copy.get("output"), str):
        copy["output"] = trim_output(output)
    return copy


def _replace_files(value: Any) -> Any:
    match value:
        case {"type": "input_image" | "input_file" as kind} if not _is_link(value):
            name = value.get("filename") or ("an image" if kind == "input_image" else "a file")
            return {"type": "input_text", "text": f"[{name}, not stored]"}
        case BaseModel():
            return _replace_files(value.model_dump(mode="json", exclude_none=True, warnings=False))
        case Mapping():
            return {name: _replace_files(entry) for name, entry in value.items()}
        case list() | tuple():
            return [_replace_files(entry) for entry in value]
        case str():
            return _without_base64(value)
    return value


def _without_base64(text: str) -> str:
    return BASE64.sub("[a file, not stored]", text) if ";base64," in text else text


def _is_link(part: Mapping[str, Any]) -> bool:
    """Return whether an image or a file is given by its URL or by its id at the provider."""
    url = part.get("image_url") or part.get("file_url") or ""
    return not part.get("file_data") and (bool(part.get("file_id")) or str(url).startswith(("https:", "http:")))
