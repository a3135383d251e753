"""Routes in the shape of OpenAI's API: called with an API key, errors as `{"error": {…}}`."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from chatkit.store import NotFoundError
from fastapi import Request, Response

from chatkit_store import StoreError

from ..auth.door import log_refusal
from ..errors.http import InvalidParams, NotAuthenticated, ServerError
from ..errors.mapping import to_server_error
from ..services import services_of
from .error_responses import response_for
from .json_route import JsonRoute
from .openai_errors import InvalidField, OpenAiErrorBody

OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": OpenAiErrorBody, "description": "Rejected without effect: 401 the API key is not valid"},
}
"""The `responses` of a route, for OpenAPI."""


def unix_seconds(moment: datetime) -> int:
    """Return the time as OpenAI's API has it, rounded down."""
    return int(moment.timestamp())


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
                refusal = to_server_error(error)
                if isinstance(refusal, NotAuthenticated):
                    log_refusal(refusal)
                return response_for(request.scope, refusal)

        return handle

    def refusal(self, faults: Any) -> ServerError:
        """Return an error with the first of pydantic's `faults`."""
        fault = faults[0]
        param = ".".join(str(step) for step in fault["loc"][1:])  # the first is the part of the request
        if not param:
            return InvalidParams("The body is not a JSON object.")
        if fault["type"] == "missing":
            return InvalidField(param, f"Missing required parameter: '{param}'.")
        message = fault["msg"].removeprefix("Value error, ")
        return InvalidField(param, f"Invalid value for '{param}': {message}.")
