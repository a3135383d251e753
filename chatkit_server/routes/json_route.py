"""Routes whose body is a pydantic model: read within the limit, refused with what is wrong."""

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
    """A route with a pydantic body: within the limit, and with an error that says what is wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook around everything that it does for a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                if self.body_field is not None:
                    # Where Starlette keeps a body that was read before.
                    request._body = await read_body(request, services_of(request).settings.max_body_bytes)
                return await answer(request)
            except ClientDisconnect:
                return Response(status_code=499)  # nobody is there to read it
            except RequestValidationError as error:
                raise invalid(error.errors(), is_json=_is_json(request)) from None

        return handle


def invalid(faults: Any, *, is_json: bool = True) -> ServerError:
    """What the first of pydantic's faults says, and nothing of what was sent."""
    if not is_json:
        return InvalidParams("The body must be JSON, and be sent with `content-type: application/json`.")
    fault = faults[0]
    if fault["type"] == "json_invalid":
        return InvalidJson()
    place = ".".join(str(step) for step in fault["loc"] if step != "body")
    return InvalidParams(f"`{place}`: {fault['msg']}." if place else f"The body is not right: {fault['msg']}.")


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().endswith("json")
