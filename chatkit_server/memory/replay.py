"""One turn, told to the model again: the items that it showed, with what its transcript has between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatkit.agents import ThreadItemConverter
from chatkit.types import (
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
class Shown:
    """An item of the thread; `message` is what the provider knows it by, where it knows it as a whole."""

    item: ThreadItem
    message: Json | None = None


Piece = Shown | Json
"""What the thread shows, or an item of the model's."""


async def replay(
    items: Sequence[ThreadItem], entries: Sequence[Json], converter: ThreadItemConverter, *, is_same_model: bool
) -> list[InputItem]:
    """Input items for a turn with a transcript.

    Reasoning, and calls that the provider answered itself, go back to the same model only. Reasoning needs the very
    item that followed it, with the id that the provider gave it; everything else goes without ids, which no provider
    misses.
    """
    pieces = list(_with_client_outputs(list(_merged(items, entries))))
    kept = _kept_reasoning(pieces) if is_same_model else set()
    told: list[InputItem] = []
    for at, piece in enumerate(pieces):
        before = pieces[at - 1] if at else None
        is_bound = at - 1 in kept
        if isinstance(piece, Shown):
            told += await _show(piece, converter, is_bound=is_bound, is_same_model=is_same_model)
        elif _is_told(piece, at in kept, is_same_model and (is_bound or not _is(before, {"reasoning"}))):
            told.append(_told(piece) if at in kept or is_bound or piece["type"] in HOSTED else _without_id(piece))
    return told


def _merged(items: Sequence[ThreadItem], entries: Sequence[Json]) -> Iterator[Piece]:
    """Entries in their order, and at their places in the thread the items that no entry names.

    A workflow that no entry names shows what the entries have; a note that the user stopped the turn stands at its end.
    """
    known = {item.id: item for item in items}
    named = {entry["shown"] for entry in entries if "shown" in entry}
    rest = iter(entries)
    for item in items:
        if item.id in named:
            yield from _up_to(item.id, rest, known)
        elif isinstance(item, SDKHiddenContextItem):
            yield from _up_to(None, rest, known)
            yield Shown(item)
        elif not isinstance(item, WorkflowItem):
            yield Shown(item)
    yield from _up_to(None, rest, known)


def _up_to(item_id: str | None, entries: Iterator[Json], known: dict[str, ThreadItem]) -> Iterator[Piece]:
    """The next entries, the one that names the item included.

    What was taken away from the thread is not told, but keeps its place: what stands before it must not take the next
    one for what followed it.
    """
    for entry in entries:
        if "item" in entry:
            yield entry["item"]
        elif "left_out" in entry:
            yield {"type": entry["left_out"]}
        elif (item := known.pop(entry["shown"], None)) is None:
            yield {"type": "message"}
        else:
            yield Shown(item, entry.get("message"))
            if item.id == item_id:
                return


def _with_client_outputs(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """What the page answered takes the place of what the tool that asked it returned."""
    called = {piece["call_id"] for piece in pieces if isinstance(piece, dict) and _is(piece, CALLS)}
    shown = [piece.item for piece in pieces if isinstance(piece, Shown)]
    asked = {item.call_id: item for item in shown if isinstance(item, ClientToolCallItem) and item.call_id in called}
    for piece in pieces:
        if isinstance(piece, Shown):
            if not (isinstance(piece.item, ClientToolCallItem) and piece.item.call_id in asked):
                yield piece
        elif (call := asked.get(piece.get("call_id", ""))) is None:
            yield piece
        elif _is(piece, CALLS):
            yield piece
            yield {"type": "function_call_output", "call_id": call.call_id, "output": _output(call)}


def _output(call: ClientToolCallItem) -> str:
    return UNANSWERED if call.status == "pending" else client_tool_output(call)


def _kept_reasoning(pieces: Sequence[Piece]) -> set[int]:
    """The places of reasoning whose follower goes back with it."""
    kept: set[int] = set()
    for at in range(len(pieces) - 2, -1, -1):
        if _is(pieces[at], {"reasoning"}) and (at + 1 in kept or _has_id(pieces[at + 1])):
            kept.add(at)
    return kept


def _has_id(piece: Piece) -> bool:
    if isinstance(piece, Shown):
        return bool(piece.message and piece.message.get("id"))
    return piece["type"] in CALLS | HOSTED and bool(piece.get("id"))


def _is_told(item: Json, is_kept: bool, is_provider_item: bool) -> bool:
    match item["type"]:
        case "reasoning":
            return is_kept
        case "function_call" | "function_call_output":
            return True
        case kind:
            return is_provider_item and kind in CALLS | OUTPUTS | HOSTED


def _told(item: Json) -> Json:
    """A request for an approval is not among what is told, so nothing may name it."""
    return {name: value for name, value in item.items() if name != "approval_request_id"}


def _without_id(item: Json) -> Json:
    kept = ("type", "call_id", "name", "namespace", "arguments", "input", "output")
    return {name: item[name] for name in kept if name in item}


async def _show(
    shown: Shown, converter: ThreadItemConverter, *, is_bound: bool, is_same_model: bool
) -> list[InputItem]:
    item, message = shown.item, shown.message or {}
    phase = {"phase": message["phase"]} if is_same_model and "phase" in message else {}
    if is_bound and isinstance(item, AssistantMessageItem):
        parts = [{"type": "output_text", "text": part.text, "annotations": []} for part in item.content]
        whole = {"type": "message", "role": "assistant", "status": "completed", "content": parts}
        return [{"id": message["id"], **whole, **phase}]
    told: list[InputItem] = list(await converter.to_agent_input([item]))
    return [{**entry, **phase} if entry.get("role") == "assistant" else entry for entry in told]


def _is(piece: Piece | None, kinds: frozenset[str] | set[str]) -> bool:
    return isinstance(piece, dict) and piece.get("type") in kinds
