"""Files in a run that waits for an approval: out of the state that is saved, and back into the one that goes on.

The Agents SDK (0.24) writes a run with all of its input. A picture's bytes have no place in a row (trap T23): what
stands there is which attachment it was.
"""

from collections.abc import Mapping
from typing import Any

from store import NotFound

from .model_input import UserFiles, shown_files, unreadable_text

KIND = "attachment"
"""Of a part of a message that only a saved run has."""

_BYTES = ("image_url", "file_data")


def put_away(state: Any) -> Any:
    """A copy of the state without the bytes of files that this turn's model was shown, and without drawn images'."""
    files = shown_files.get()
    return _without(state, {} if files is None else files.given)


def _without(value: Any, given: Mapping[str, str]) -> Any:
    match value:
        case {"type": "image_generation_call", "result": str()}:
            return {**value, "result": None}
        case {"type": "input_image" | "input_file"}:
            known = [given[value[name]] for name in _BYTES if isinstance(value.get(name), str) and value[name] in given]
            return {"type": KIND, "id": known[0]} if known else value
        case Mapping():
            return {name: _without(entry, given) for name, entry in value.items()}
        case list() | tuple():
            return [_without(entry, given) for entry in value]
    return value


async def bring_back(state: Any, files: UserFiles) -> Any:
    """The state with the files in it again; a sentence stands for one that is gone."""
    match state:
        case {"type": "attachment", "id": str() as attachment_id}:
            try:
                return await files.content_of(attachment_id)
            except NotFound:
                return unreadable_text("a file")
        case Mapping():
            return {name: await bring_back(entry, files) for name, entry in state.items()}
        case list():
            return [await bring_back(entry, files) for entry in state]
    return state
