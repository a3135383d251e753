"""How the text of an environment variable becomes a list or JSON. To be used with `NoDecode`."""

import json
from typing import Any

from pydantic import AfterValidator, BeforeValidator

from ..composer.choices import Choice


def comma_separated(what: str, dropped: str = "/") -> BeforeValidator:
    """Return the validator of a list of `what`, comma-separated or as JSON.

    It drops spaces, and what an entry ends with by mistake: the slash of a URL.
    """

    def split(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return [entry.strip().rstrip(dropped) for entry in value.split(",") if entry.strip()]
        return _load(value, f"must be comma-separated {what}, or a JSON list of them")

    return BeforeValidator(split)


def _load(value: str, message: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"{message} ({error.msg} at character {error.pos + 1})") from None
    except ValueError:
        raise ValueError(message) from None


def _names_or_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [name.strip() for name in value.split(",") if name.strip()]
    return _load(value, "must be comma-separated names, or a JSON list")


def _each_once(choices: list[Choice]) -> list[Choice]:
    ids = [choice.id for choice in choices]
    if len(ids) != len(set(ids)):
        raise ValueError("contains an id twice")
    return choices


JSON = BeforeValidator(lambda value: _load(value, "must be JSON") if isinstance(value, str) else value)

MCP_SERVERS = BeforeValidator(
    lambda value: value["mcpServers"] if isinstance(value, dict) and list(value) == ["mcpServers"] else value
)
"""Takes the file of another MCP client as it is."""


def _text_or_json(value: object) -> object:
    is_object = isinstance(value, str) and value.lstrip().startswith("{")
    return _load(str(value), "must be a text, or a JSON object") if is_object else value


TEXT_OR_JSON = BeforeValidator(_text_or_json)
CHOICES = BeforeValidator(_names_or_json)
NAMES = BeforeValidator(_names_or_json)
"""Unlike `comma_separated`, keeps a slash at the end: it is a part of the name."""
EACH_ONCE = AfterValidator(_each_once)
