"""Replay one turn to the model: the items that the user saw, merged with the entries of its transcript."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    SDKHiddenContextItem,
    ThreadItem,
    WorkflowItem,
)

from .call_pairs import InputItem, client_tool_output
from .transcript import CALLS, HOSTED, OUTPUTS, Json

UNANSWERED = "The user's page has not answered yet."


@dataclass(frozen=True)
class VisibleItem:
    """An item of the thread; `message` has the provider's id and phase of a complete message."""

    item: ThreadItem
    message: Json | None = None


Piece = VisibleItem | Json
"""An item of the thread, or an item of the model."""


async def replay_turn(
    items: Sequence[ThreadItem], entries: Sequence[Json], converter: ThreadItemConverter, *, is_same_model: bool
) -> list[InputItem]:
    """Return the input items for a turn with a transcript.

    Reasoning and hosted calls are only sent to the model that produced them. The provider accepts reasoning only
    together with the item that followed it, under the provider's id. All other items are sent without ids, which no
    provider requires.
    """
    pieces = list(_with_client_outputs(list(_merged(items, entries))))
    reasoning = _sendable_reasoning(pieces) if is_same_model else set()
    input_items: list[InputItem] = []
    for index, piece in enumerate(pieces):
        previous = pieces[index - 1] if index else None
        follows_reasoning = index - 1 in reasoning
        if isinstance(piece, VisibleItem):
            input_items += await _convert(
                piece, converter, follows_reasoning=follows_reasoning, is_same_model=is_same_model
            )
            continue
        # An item whose reasoning was dropped cannot be sent under the provider's id either.
        accepts_hosted = is_same_model and (follows_reasoning or not _is(previous, {"reasoning"}))
        if _is_sendable(piece, index in reasoning, accepts_hosted):
            keeps_id = index in reasoning or follows_reasoning or piece["type"] in HOSTED
            input_items.append(_without_approval_id(piece) if keeps_id else _without_id(piece))
    return input_items


def _merged(items: Sequence[ThreadItem], entries: Sequence[Json]) -> Iterator[Piece]:
    """Yield the entries in order, with the items that no entry names at their place in the thread.

    A workflow that no entry names is skipped: it displays what the entries contain. The note that the user stopped the
    turn comes last.
    """
    items_by_id = {item.id: item for item in items}
    named = {entry["shown"] for entry in entries if "shown" in entry}
    remaining = iter(entries)
    for item in items:
        if item.id in named:
            yield from _up_to(item.id, remaining, items_by_id)
        elif isinstance(item, SDKHiddenContextItem):
            yield from _up_to(None, remaining, items_by_id)
            yield VisibleItem(item)
        elif not isinstance(item, WorkflowItem):
            yield VisibleItem(item)
    yield from _up_to(None, remaining, items_by_id)


def _up_to(item_id: str | None, entries: Iterator[Json], items_by_id: dict[str, ThreadItem]) -> Iterator[Piece]:
    """Yield the next entries, up to and including the one that names the item.

    An item that was removed from the thread yields a placeholder. Without it, reasoning before the item would be taken
    for the reasoning of the one after it.
    """
    for entry in entries:
        if "item" in entry:
            yield entry["item"]
        elif "left_out" in entry:
            yield {"type": entry["left_out"]}
        elif (item := items_by_id.pop(entry["shown"], None)) is None:
            yield {"type": "message"}
        else:
            yield VisibleItem(item, entry.get("message"))
            if item.id == item_id:
                return


def _with_client_outputs(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Replace the outputs of client tools by the page's answers; the tool itself only returned a placeholder."""
    call_ids = {piece["call_id"] for piece in pieces if isinstance(piece, dict) and _is(piece, CALLS)}
    items = [piece.item for piece in pieces if isinstance(piece, VisibleItem)]
    calls = [item for item in items if isinstance(item, ClientToolCallItem)]
    client_calls = {call.call_id: call for call in calls if call.call_id in call_ids}
    for piece in pieces:
        if isinstance(piece, VisibleItem):
            if not (isinstance(piece.item, ClientToolCallItem) and piece.item.call_id in client_calls):
                yield piece
        elif (call := client_calls.get(piece.get("call_id", ""))) is None:
            yield piece
        elif _is(piece, CALLS):
            yield piece
            yield {"type": "function_call_output", "call_id": call.call_id, "output": _client_output(call)}


def _client_output(call: ClientToolCallItem) -> str:
    return UNANSWERED if call.status == "pending" else client_tool_output(call)


def _sendable_reasoning(pieces: Sequence[Piece]) -> set[int]:
    """Return the indexes of reasoning whose following item is sent with it."""
    sendable: set[int] = set()
    for index in range(len(pieces) - 2, -1, -1):
        if _is(pieces[index], {"reasoning"}) and (index + 1 in sendable or _has_id(pieces[index + 1])):
            sendable.add(index)
    return sendable


def _has_id(piece: Piece) -> bool:
    if isinstance(piece, VisibleItem):
        return bool(piece.message and piece.message.get("id"))
    return piece["type"] in CALLS | HOSTED and bool(piece.get("id"))


def _is_sendable(item: Json, is_sendable_reasoning: bool, accepts_hosted: bool) -> bool:
    match item["type"]:
        case "reasoning":
            return is_sendable_reasoning
        case "function_call" | "function_call_output":
            return True
        case kind:
            return accepts_hosted and kind in CALLS | OUTPUTS | HOSTED


def _without_approval_id(item: Json) -> Json:
    """Drop the reference to an approval request, which is not part of the input."""
    return {name: value for name, value in item.items() if name != "approval_request_id"}


def _without_id(item: Json) -> Json:
    fields = ("type", "call_id", "name", "namespace", "arguments", "input", "output", "provider_data")
    return {name: item[name] for name in fields if name in item}


async def _convert(
    piece: VisibleItem, converter: ThreadItemConverter, *, follows_reasoning: bool, is_same_model: bool
) -> list[InputItem]:
    item, message = piece.item, piece.message or {}
    if isinstance(item, AssistantMessageItem) and "text" in message:
        item = item.model_copy(update={"content": [AssistantMessageContent(text=message["text"])]})
    phase = {"phase": message["phase"]} if is_same_model and "phase" in message else {}
    if follows_reasoning and isinstance(item, AssistantMessageItem):
        parts = [{"type": "output_text", "text": part.text, "annotations": []} for part in item.content]
        fields = {"type": "message", "role": "assistant", "status": "completed", "content": parts}
        return [{"id": message["id"], **fields, **phase}]
    converted: list[InputItem] = list(await converter.to_agent_input([item]))
    return [{**entry, **phase} if entry.get("role") == "assistant" else entry for entry in converted]


def _is(piece: Piece | None, kinds: frozenset[str] | set[str]) -> bool:
    return isinstance(piece, dict) and piece.get("type") in kinds
