"""Errors in the shape of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`."""

import re

from pydantic import BaseModel
from starlette.requests import Request

from ..errors.http import AdminKeyNeeded, InvalidParams, NotAuthenticated, NotFound, ServerError, TooManyRequests
from .allowed_methods import path_of

CODES: dict[type[ServerError], str] = {
    NotAuthenticated: "invalid_api_key",
    AdminKeyNeeded: "insufficient_permissions",
    TooManyRequests: "rate_limit_exceeded",
}


class OpenAiError(BaseModel):
    """What is wrong, as OpenAI's API says it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiErrorBody(BaseModel):
    """The body of an error response."""

    error: OpenAiError


class InvalidField(InvalidParams):
    """A field of the body or the query that is missing or has a bad value."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
        """The path of the field."""


def openai_body(error: ServerError) -> OpenAiErrorBody:
    """Return the error as OpenAI's clients read it."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), error.code)
    return OpenAiErrorBody(
        error=OpenAiError(
            message=error.message,
            type="invalid_request_error" if error.status < 500 else "server_error",
            param=error.param if isinstance(error, InvalidField) else None,
            code=code,
        )
    )


class WrongBase(NotFound):
    """The address is that of OpenAI's ChatKit API, below another base than `/v1`."""

    def __init__(self, base: str) -> None:
        super().__init__(
            f"There is nothing at this address. The base URL of this server's OpenAI API is {base}: set it as "
            "`base_url` (Node: `baseURL`) of OpenAI's client."
        )


_CALL = re.compile(r".*?(?P<path>/chatkit/(?:sessions|threads)(?:/.*)?)", re.DOTALL)


def openai_base(request: Request) -> str | None:
    """Return the base URL of the API if the request is a call of it below another one, such as without `/v1`."""
    path = path_of(request.scope)
    if (call := _CALL.fullmatch(path)) is None or path == f"/v1{call['path']}":
        return None
    root: str = request.scope.get("root_path", "")
    return str(request.base_url.replace(path=f"{root}/v1", query=""))
