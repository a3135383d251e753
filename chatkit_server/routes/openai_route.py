"""Routes in the shape of OpenAI's API: called with an API key, errors as `{"error": {…}}`."""

from collections.abc import Callable, Coroutine
from typing import Any

from chatkit.store import NotFoundError
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chatkit_store import StoreError

from ..auth.door import log_refusal
from ..errors.http import InvalidParams, NotAuthenticated, NotAvailable, ServerError, TooManyRequests
from ..errors.mapping import to_server_error
from ..services import services_of
from .error_responses import error_response
from .json_route import JsonRoute

CODES: dict[type[ServerError], str] = {NotAuthenticated: "invalid_api_key", TooManyRequests: "rate_limit_exceeded"}


class OpenAiError(BaseModel):
    """What is wrong, as OpenAI's API says it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiErrorBody(BaseModel):
    """The body of an error response."""

    error: OpenAiError


OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": OpenAiErrorBody, "description": "Rejected without effect: 401 the API key is not valid"},
    501: {"model": OpenAiErrorBody, "description": "CHATKIT_AUTH does not include `session`"},
}
"""The `responses` of a route, for OpenAPI."""


class InvalidField(InvalidParams):
    """A field of the body that is missing or has a bad value."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
        """The path of the field."""


class OpenAiRoute(JsonRoute):
    """A route for callers with an API key, who use OpenAI's client."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler: it asks for the key before it looks at the body."""
        handle_request = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                request.state.api_caller = await services_of(request).api_keys.authenticate(request)
                return await handle_request(request)
            except (ServerError, NotFoundError, StoreError) as error:
                return openai_error(to_server_error(error), request.state.request_id)

        return handle

    def refusal(self, faults: Any) -> ServerError:
        """Return an error with the first of pydantic's `faults`."""
        fault = faults[0]
        param = ".".join(str(step) for step in fault["loc"] if step != "body")
        if fault["type"] == "missing":
            return InvalidField(param, f"Missing required parameter: '{param}'.")
        message = fault["msg"].removeprefix("Value error, ")
        return InvalidField(param, f"Invalid value for '{param}': {message}.")


def openai_error(error: ServerError, request_id: str) -> JSONResponse:
    """Return the error as OpenAI's clients read it."""
    if isinstance(error, NotAuthenticated):
        log_refusal(error)
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), error.code)
    body = {
        "message": error.message,
        "type": "invalid_request_error" if error.status < 500 else "server_error",
        "param": error.param if isinstance(error, InvalidField) else None,
        "code": code,
    }
    headers = dict(error_response(error, request_id).headers)
    del headers["content-length"]
    if isinstance(error, NotAvailable):  # until the settings change, the client's retries would all fail
        headers["x-should-retry"] = "false"
    return JSONResponse({"error": body}, status_code=error.status, headers=headers)
