"""Clean text: replace what UTF-8 and the databases cannot hold.

JavaScript and JSON allow half of a surrogate pair, for example in text that was cut in the middle of an emoji. Such a
character cannot be encoded: it would break a row, a frame or a request to a model. PostgreSQL cannot store NUL.
"""

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def clean_text(value: str) -> str:
    """Replace NUL and lone surrogates; a pair of surrogates becomes its character."""
    if value.isascii():
        return value.replace("\0", REPLACEMENT) if "\0" in value else value
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", REPLACEMENT)


def clean_json(value: Any) -> Any:
    """Return a copy of JSON-like data in which every string is clean. Models become dicts."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() and "\0" not in value else clean_text(value)
    if kind is dict:
        return {clean_json(name): clean_json(entry) for name, entry in value.items()}
    if kind is list:
        return [clean_json(entry) for entry in value]
    match value:  # slower, for all others
        case str():
            return clean_text(value)
        case bytes():
            return clean_text(value.decode("utf-8", "replace"))
        case dict():
            return {clean_json(key): clean_json(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [clean_json(entry) for entry in value]
        case BaseModel():
            return clean_json(value.model_dump(warnings=False))
        case _:
            return value


def clean_body(body: bytes) -> bytes:
    """Return JSON in which every string is clean. What is not valid JSON is returned unchanged.

    Only a body with an escaped surrogate or NUL is parsed; browsers send all other characters as they are.
    """
    if _ESCAPES.search(body) is None:
        return body
    try:
        return to_json(clean_json(json.loads(body)))
    except (ValueError, RecursionError):
        return body
