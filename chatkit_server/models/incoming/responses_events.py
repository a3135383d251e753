"""Read the events of one answer of the Responses API, and the whole answer of an endpoint that does not stream."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from .answer_state import AnswerState
from .citations import clean_citation, clean_citations

Json = dict[str, Any]

TEXT_DELTA = "response.output_text.delta"
ENDS = frozenset({"response.completed", "response.failed", "response.incomplete", "response.error"})


class ResponsesAnswer:
    """Reads one answer, event by event."""

    def __init__(self, state: AnswerState) -> None:
        self.is_complete = False
        """Whether the endpoint has said that the answer ends."""
        self._items: dict[int, tuple[Any, bool]] = {}
        """The id of the item at each index, and whether it is done."""
        self._moved: dict[Any, int] = {}
        """Our index of items whose index was taken, by their id, else by the endpoint's index."""
        self._call_ids: dict[Any, str] = {}

    def is_plain(self, event: Json) -> bool:
        """Return whether an event needs no change. Runs once per token."""
        return event.get("type") == TEXT_DELTA and not self._moved

    def read(self, event: Json) -> Iterator[Json]:
        """Yield what the client gets for an event that is not plain, if anything."""
        kind = event.get("type")
        if kind in ENDS:
            self.is_complete = True
        if kind == "response.output_item.added":
            self._announce(event)
        elif "output_index" in event:
            self._move(event)
        if kind == "response.output_item.done":
            self._items[event.get("output_index", 0)] = (_id_of(event), True)
        if kind == "response.output_text.annotation.added":
            event["annotation"] = clean_citation(event.get("annotation"))
            if event["annotation"] is None:
                return
        self._fix(event)
        yield event

    def end(self) -> None:
        """`[DONE]` says nothing here: only an event of the API ends an answer."""

    def _announce(self, event: Json) -> None:
        """Give a new item an index of its own: some gateways number all of them 0."""
        index, item_id = event.get("output_index"), _id_of(event)
        if type(index) is not int:
            index = event["output_index"] = len(self._items)
        if index in self._items and (self._items[index][1] or self._items[index][0] != item_id):
            new_index = max(self._items) + 1
            for key in (item_id, index):
                self._moved[key] = new_index
            index = event["output_index"] = new_index
        self._items[index] = (item_id, False)

    def _move(self, event: Json) -> None:
        """Use our index for a later event of an item."""
        item_id, index = _id_of(event), event["output_index"]
        if item_id in self._moved:
            event["output_index"] = self._moved[item_id]
        elif index in self._moved and self._items[index][0] != item_id:
            event["output_index"] = self._moved[index]

    def _fix(self, event: Json) -> None:
        """Repair the items and parts in an event in place."""
        if isinstance(part := event.get("part"), dict):
            _fix_part(part)
        if isinstance(item := event.get("item"), dict):
            self._fix_item(item)
        response = event.get("response")
        if isinstance(response, dict):
            if not isinstance(response.get("output"), list):
                response["output"] = []
            for item in response["output"]:
                if isinstance(item, dict):
                    self._fix_item(item)

    def _fix_item(self, item: Json) -> None:
        for part in item.get("content") or [] if item.get("type") == "message" else []:
            if isinstance(part, dict):
                _fix_part(part)
        if item.get("type") == "function_call":
            if not isinstance(item.get("arguments"), str):
                item["arguments"] = "" if item.get("arguments") is None else json.dumps(item["arguments"])
            if not isinstance(item.get("call_id"), str) or not item["call_id"]:
                item["call_id"] = self._call_ids.setdefault(item.get("id"), f"call_{uuid4().hex}")


def whole_response(response: Json) -> Iterator[Json]:
    """Yield the events that a whole response would have been streamed as."""
    yield {"type": "response.created", "response": response | {"output": []}, "sequence_number": 0}
    for index, item in enumerate(response.get("output") or []):
        for name in ("added", "done"):
            yield {
                "type": f"response.output_item.{name}",
                "output_index": index,
                "item": item,
                "sequence_number": 0,
            }
    status = response.get("status")
    end = status if status in ("failed", "incomplete") else "completed"
    yield {"type": f"response.{end}", "response": response, "sequence_number": 0}


def _id_of(event: Json) -> Any:
    item = event.get("item")
    return item.get("id") if isinstance(item, dict) else event.get("item_id")


def _fix_part(part: Json) -> None:
    if "annotations" in part or part.get("type") == "output_text":
        part["annotations"] = clean_citations(part.get("annotations"), len(str(part.get("text") or "")) or None)
