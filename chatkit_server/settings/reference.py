"""The list of all settings: as the text of `.env.example`, and as a JSON schema for editors, charts and checks."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from .settings import PREFIX, Settings, variables_of

HEAD = """\
# Settings of chatkit-server. Copy this file to `.env` and uncomment what you want to change.
# Environment variables take precedence. `chatkit-server settings` prints this file.
"""
TEXTS = {
    "integer": {"type": "string", "pattern": r"^[+-]?\d+$"},
    "number": {"type": "string", "pattern": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"},
    "boolean": {"enum": ["true", "false", "1", "0", "yes", "no", "on", "off"]},
}
"""How values look in the environment; lists and objects are comma-separated or JSON there."""


def env_example() -> str:
    """Return the text of `.env.example`: every setting with its description and default."""
    return "".join(_example())


def _example() -> Iterator[str]:
    yield HEAD
    for name, field in Settings.model_fields.items():
        sentence = textwrap.fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
        yield f"\n{sentence}\n#{variables_of(name)[0]}={_written(field.default)}\n"


def _written(default: Any) -> str:
    """Return the default as written in the file, or an empty string."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return json.dumps(default)
    if isinstance(default, list):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def json_schema() -> dict[str, Any]:
    """Return a JSON schema of an object with environment variables: their values as texts, or of their own type."""
    fields = Settings.model_json_schema()
    properties: dict[str, Any] = {}
    for name in Settings.model_fields:
        variable, *others = variables_of(name)
        properties[variable] = _or_text(fields["properties"].get(name) or fields["properties"][variable])
        properties |= {other: {"$ref": f"#/properties/{variable}"} for other in others}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of chatkit-server",
        "type": "object",
        "properties": properties,
        "propertyNames": {"anyOf": [{"enum": list(properties)}, {"not": {"pattern": f"^{PREFIX}"}}]},
        "$defs": fields["$defs"],
    }


def _or_text(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a setting that may also be written as a text, as in the environment."""
    notes = {name: field[name] for name in ("description", "default") if field.get(name) is not None}
    kinds = field.get("anyOf") or [
        {name: field[name] for name in field if name not in ("description", "default", "title")}
    ]
    kinds = [kind for kind in kinds if kind.get("type") != "null"]
    if not any(kind.get("type") == "string" or "enum" in kind or "const" in kind for kind in kinds):
        kinds.append(TEXTS.get(kinds[0].get("type", ""), {"type": "string"}))
    return notes | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
