"""Routes whose body is a pydantic model: enforce the limits, and say what is wrong with a body."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from ..errors.http import InvalidParams, ServerError
from ..services import services_of
from .body import check_is_json, has_body, parse_json, read_body

T = TypeVar("T", bound=BaseModel)


class JsonRoute(APIRoute):
    """A route that enforces the limits of its body and answers an invalid one with the first fault."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler: FastAPI's hook around all of its work for a request."""
        handle_request = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                if self.body_field is not None and (self.body_field.field_info.is_required() or has_body(request)):
                    check_is_json(request)
                    body = await read_body(request, services_of(request).settings.max_body_bytes)
                    if body:
                        request._json = parse_json(body)  # where Starlette keeps a body that was already parsed
                return await handle_request(request)
            except ClientDisconnect:
                return Response(status_code=499)
            except RequestValidationError as error:
                raise self.refusal(error.errors()) from None

        return handle

    def refusal(self, faults: Any) -> ServerError:
        """Return the error for a body with these faults of pydantic's."""
        return invalid(faults)


def parse_model(kind: type[T], text: str) -> T:
    """Return the model that a JSON text contains. Raises `ServerError` if it is none, or exceeds a limit."""
    try:
        return kind.model_validate(parse_json(text.encode("utf-8", "surrogatepass")))
    except ValidationError as error:
        raise invalid(error.errors()) from None


def invalid(faults: Any) -> InvalidParams:
    """Return an error with the first of pydantic's `faults`, without the values that were sent."""
    fault = faults[0]
    place = ".".join(str(step) for step in fault["loc"] if step != "body")
    return InvalidParams(f"`{place}`: {fault['msg']}." if place else f"The body is invalid: {fault['msg']}.")
