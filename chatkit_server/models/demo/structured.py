"""Answer with a JSON value of a schema, for agents that have an `output_type`."""

import json
import re
from collections.abc import Mapping
from typing import Any

from agents import AgentOutputSchemaBase

Schema = Mapping[str, Any]


def structured_answer(output_schema: AgentOutputSchemaBase, text: str) -> str:
    """Return a small value of the schema as JSON: with the user's text in text fields and, where there is a choice,
    the option that occurs in the text, or else the first."""
    schema = output_schema.json_schema()
    return json.dumps(_Example(schema.get("$defs", {}), text).of(schema), ensure_ascii=False)


class _Example:
    def __init__(self, definitions: Mapping[str, Schema], text: str) -> None:
        self._definitions = definitions
        self._text = text

    def of(self, schema: Schema) -> Any:
        """Return a value of the schema."""
        match schema:
            case {"$ref": str(reference)}:
                return self.of(self._definitions[reference.rpartition("/")[2]])
            case {"const": value}:
                return value
            case {"enum": [*options]}:
                return self._choice(options)
            case {"anyOf": [*options]} | {"oneOf": [*options]} | {"allOf": [*options]}:
                return self._of_any(options)
            case {"properties": dict(fields)}:
                return {name: self.of(field) for name, field in fields.items()}
        return self._plain(schema)

    def _choice(self, options: list[Any]) -> Any:
        words = set(re.findall(r"\w+", self._text.lower()))
        return next((option for option in options if set(re.findall(r"\w+", str(option).lower())) <= words), options[0])

    def _of_any(self, options: list[Schema]) -> Any:
        """Return null where that is possible: a schema may contain itself."""
        is_optional = any(option.get("type") == "null" for option in options)
        return None if is_optional else self.of(options[0])

    def _plain(self, schema: Schema) -> Any:
        match schema.get("type"):
            case "string":
                return self._text
            case "integer" | "number":
                return schema.get("minimum", 0)
            case "boolean":
                return True  # an exported workflow repeats a step until such a field is true
            case "array":
                return [self.of(schema["items"])] * schema.get("minItems", 0)
            case "object":
                return {}
        return None
