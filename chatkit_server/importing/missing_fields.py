"""Fill in what the hosted API always sends of an item, and what people who write files by hand leave out.

Null counts as left out. What is there is not changed, except that JSON within JSON may be written as plain JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

from .source import RawItem


def completed(raw: RawItem) -> RawItem:
    """Return the item with all fields that have an obvious value."""
    match raw.get("type"):
        case "chatkit.user_message":
            content = raw.get("content")
            if content is None and raw.get("attachments"):
                content = []
            return {**raw, "content": _parts(content, {"type": "input_text"})}
        case "chatkit.assistant_message":
            parts = _parts(raw.get("content"), {"type": "output_text", "annotations": []})
            return {**raw, "content": _each(parts, _with_annotations)}
        case "chatkit.widget":
            return {**raw, "widget": _json_text(raw.get("widget"))}
        case "chatkit.client_tool_call":
            texts = {name: _json_text(raw.get(name)) for name in ("arguments", "output")}
            # Without a status, it is a call of the past: nobody waits for its output.
            return _filled({**raw, **texts}, {"arguments": "{}", "call_id": raw.get("id"), "status": "completed"})
        case "chatkit.task":
            return _filled(raw, {"task_type": "custom"})
        case "chatkit.task_group":
            return {**raw, "tasks": _each(raw.get("tasks"), lambda task: _filled(task, {"type": "custom"}))}
    return raw


def _parts(content: Any, defaults: Mapping[str, Any]) -> Any:
    """Return the parts of a message, which may be a text, or texts."""
    if isinstance(content, str):
        content = [content]
    if isinstance(content, list):
        content = [{"text": part} if isinstance(part, str) else part for part in content]
    return _each(content, lambda part: _filled(part, defaults))


def _with_annotations(part: Any) -> Any:
    return {**part, "annotations": _each(part.get("annotations"), _annotation)}


def _annotation(annotation: Any) -> Any:
    source = annotation.get("source")
    if not isinstance(source, Mapping):
        return annotation
    kind = annotation.get("type") or source.get("type") or ("file" if "filename" in source else "url")
    return {**annotation, "type": kind, "source": _filled(source, {"type": kind})}


def _each(entries: Any, complete: Any) -> Any:
    """Return the entries, those that are objects completed; anything but a list as it is."""
    if not isinstance(entries, list):
        return entries
    return [complete(entry) if isinstance(entry, Mapping) else entry for entry in entries]


def _filled(value: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, **{name: default for name, default in defaults.items() if value.get(name) is None}}


def _json_text(value: Any) -> Any:
    """Return what the API sends as JSON in a text."""
    try:
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return value
