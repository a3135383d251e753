"""Routes whose body is a pydantic model: enforce the size limit, and say what is wrong with a body."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from ..errors.http import InvalidJson, InvalidParams, ServerError
from ..services import services_of
from .body import read_body


class JsonRoute(APIRoute):
    """A route that limits the size of its body and answers an invalid one with the first fault."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler: FastAPI's hook around all of its work for a request."""
        handle_request = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                if self.body_field is not None:
                    # Starlette keeps a body that was already read here.
                    request._body = await read_body(request, services_of(request).settings.max_body_bytes)
                return await handle_request(request)
            except ClientDisconnect:
                return Response(status_code=499)
            except RequestValidationError as error:
                raise invalid(error.errors(), is_json=_is_json(request)) from None

        return handle


def invalid(faults: Any, *, is_json: bool = True) -> ServerError:
    """Return an error with the first of pydantic's `faults`, without the values that were sent."""
    if not is_json:
        return InvalidParams("The body must be JSON, sent with `content-type: application/json`.")
    fault = faults[0]
    if fault["type"] == "json_invalid":
        return InvalidJson()
    place = ".".join(str(step) for step in fault["loc"] if step != "body")
    return InvalidParams(f"`{place}`: {fault['msg']}." if place else f"The body is invalid: {fault['msg']}.")


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().endswith("json")
