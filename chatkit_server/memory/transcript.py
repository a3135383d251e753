"""The model's side of a turn: its tool calls with their outputs, its reasoning, who spoke last.

What the thread shows stands in it by the item's id only, never by its text: what was taken away from the user, or cut
by a stop, is so for the model as well.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from agents import Agent
from pydantic import BaseModel

Json = dict[str, Any]

HOSTED = frozenset({"web_search_call", "file_search_call", "mcp_call"})
"""Calls that the provider answers itself; only it can read them again."""
CALLS = frozenset({"function_call", "custom_tool_call"})
OUTPUTS = frozenset({f"{call}_output" for call in CALLS})
KEPT = HOSTED | CALLS | OUTPUTS | {"reasoning"}

MAX_OUTPUT = 200_000
"""Characters of one tool output that are kept."""
BASE64 = re.compile(r"data:[\w.+/-]+(;[\w=.+-]+)*;base64,[\w+/=-]*")


class Transcript:
    """Gathers what happens in a turn, in the order in which it happens. Entries are plain JSON:

    - `{"item": {...}}`: an item as the Responses API has it, without images or files;
    - `{"shown": id}`: here the thread's item with this id appeared; `"message"` has the provider's id of a whole one;
    - `{"left_out": type}`: something that no later request can hold.
    """

    def __init__(self) -> None:
        self.origin_of: Callable[[Agent[Any]], str | None] = lambda agent: None
        """Where an agent's answers come from, see `Models.origin`."""
        self.model_of: Callable[[Agent[Any]], str | None] = lambda agent: None
        """The name of the model that an agent asks."""
        self.display_only: set[str] = set()
        """Ids of items that only show what the entries have: thoughts, tool calls."""
        self.version = 0
        """Counts the changes; 0 while the entries tell nothing that the thread does not show."""
        self.size = 0
        """About how many characters the model's items take."""
        self._entries: list[Json] = []
        self._agents: list[Agent[Any]] = []

    def add_agent(self, agent: Agent[Any]) -> None:
        """From here on this agent answers."""
        self._agents.append(agent)
        self._changed()

    def add_shown(self, item_id: str) -> None:
        """The thread's item with this id appears."""
        self._entries.append({"shown": item_id})
        self._changed()

    def complete_message(self, item_id: str, message: Any) -> None:
        """The message that appeared as `item_id` is complete, and the model calls it so."""
        known = {"id": message.id, "phase": getattr(message, "phase", None)}
        if any(part.type == "refusal" for part in message.content or []):
            return
        for entry in reversed(self._entries):
            if entry.get("shown") == item_id:
                entry["message"] = {name: value for name, value in known.items() if value is not None}
                self._changed()
                return

    def add_item(self, item: BaseModel | Mapping[str, Any]) -> None:
        """An item of the model's, or a tool's output."""
        if isinstance(item, BaseModel):
            item = item.model_dump(mode="json", exclude_none=True, warnings=False)
        kind = str(item.get("type"))
        entry: Json = {"item": _without_files(dict(item))} if kind in KEPT else {"left_out": kind}
        self._entries.append(entry)
        self.size += len(str(entry))
        self._changed(tells_more=True)

    def clear(self) -> None:
        """What happened was taken back."""
        self._entries.clear()
        self.size = 0
        self._agents.clear()
        self._changed()

    def _changed(self, *, tells_more: bool = False) -> None:
        if self.version or tells_more:
            self.version += 1

    @property
    def model(self) -> str | None:
        """The model of the agent that spoke last."""
        return self.model_of(self._agents[-1]) if self._agents else None

    def to_json(self) -> Json | None:
        """For `turns.transcript`; None where nothing happened."""
        if not self._entries:
            return None
        origins = {self.origin_of(agent) for agent in self._agents}
        return {
            "agent": self._agents[-1].name if self._agents else None,
            "origin": origins.pop() if len(origins) == 1 else None,
            "entries": self._entries,
        }


turn_transcript: ContextVar[Transcript | None] = ContextVar("turn_transcript", default=None)
"""Of the turn whose task this is."""


def trimmed_output(output: str) -> str:
    """A tool's output without what is base64 in it, and of a bearable length."""
    output = _without_base64(output)
    if len(output) <= MAX_OUTPUT:
        return output
    return f"{output[:MAX_OUTPUT]}\n[The rest of {len(output)} characters is not kept.]"


def _without_files(item: Json) -> Json:
    """A copy without what is base64 in it, and with an output of a bearable length."""
    whole: Json = _plain(item)
    if isinstance(output := whole.get("output"), str):
        whole["output"] = trimmed_output(output)
    return whole


def _plain(value: Any) -> Any:
    match value:
        case {"type": "input_image" | "input_file" as kind} if not _is_link(value):
            name = value.get("filename") or ("an image" if kind == "input_image" else "a file")
            return {"type": "input_text", "text": f"[{name}, which is not kept]"}
        case BaseModel():
            return _plain(value.model_dump(mode="json", exclude_none=True, warnings=False))
        case Mapping():
            return {name: _plain(entry) for name, entry in value.items()}
        case list() | tuple():
            return [_plain(entry) for entry in value]
        case str():
            return _without_base64(value)
    return value


def _without_base64(text: str) -> str:
    return BASE64.sub("[a file, which is not kept]", text) if ";base64," in text else text


def _is_link(part: Mapping[str, Any]) -> bool:
    """Whether an image or a file stands there by its address or its provider's id."""
    url = part.get("image_url") or part.get("file_url") or ""
    return not part.get("file_data") and (bool(part.get("file_id")) or str(url).startswith(("https:", "http:")))
