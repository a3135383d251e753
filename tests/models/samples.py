"""Generate wire data for any class of the openai client from its fields."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


def make_sample(annotation: Any, depth: int = 0) -> Any:
    """Return JSON-like data that fits `annotation`, all fields filled down to a depth that ends recursive types."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return dict(_fields(annotation, depth))
    if origin is Annotated:
        return make_sample(arguments[0], depth)
    if origin in {Union, types.UnionType}:
        return make_sample(next(a for a in arguments if a is not type(None)), depth)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [make_sample(arguments[0], depth + 1)]
    if origin is dict:
        return {"key": make_sample(arguments[1], depth + 1)}
    return {str: "text é", int: 3, float: 0.5, bool: True}.get(annotation, "anything")


def _fields(model: type[BaseModel], depth: int) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        if depth > 3 and not field.is_required():
            yield name, None
        else:
            yield field.alias or name, make_sample(field.annotation, depth + 1)
