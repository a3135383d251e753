"""Render every error as JSON with a top-level `code` and `message`."""

from typing import Any

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from chatkit_store import StoreError

from ..errors.author_code import as_exception
from ..errors.http import (
    InvalidParams,
    MethodNotAllowed,
    NotAuthenticated,
    NotAvailable,
    NotFound,
    ServerError,
    ServerStopping,
)
from ..errors.mapping import to_server_error
from .allowed_methods import AllowedMethods, is_for_openai, is_of_the_api
from .openai_errors import WrongBase, openai_base, openai_body


class ErrorBody(BaseModel):
    """The body of every error response."""

    code: str
    message: str
    request_id: str


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": ErrorBody,
        "description": "Rejected without effect: 400 the request is invalid, 404 it does not exist or is not yours, "
        "409 its state does not allow this, 413 it is too large",
    },
}
"""The `responses` of a route, for OpenAPI."""


def error_response(error: ServerError, request_id: str) -> JSONResponse:
    """Return the error as JSON, for clients other than a ChatKit frame."""
    return JSONResponse(error.body(request_id), status_code=error.status, headers=_headers(error, request_id))


def response_for(scope: Scope, error: ServerError) -> JSONResponse:
    """Return the error as JSON, for whoever uses the address: below `/v1`, OpenAI's client."""
    request_id: str = scope["state"]["request_id"]
    if not is_for_openai(scope):
        return error_response(error, request_id)
    headers = _headers(error, request_id)
    if isinstance(error, NotAvailable):  # until the settings change, the client's retries would all fail
        headers["x-should-retry"] = "false"
    return JSONResponse(openai_body(error).model_dump(), status_code=error.status, headers=headers)


def _headers(error: ServerError, request_id: str) -> dict[str, str]:
    # Sets the header too: Starlette answers an unexpected error outside of all middleware.
    headers = {"x-request-id": request_id}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"  # a 401 must name a scheme; for this one, no browser asks the user
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.methods)
    if isinstance(error, ServerStopping):  # the client's next connection reaches another worker
        headers["connection"] = "close"
    return headers


def response_for_unexpected(scope: Scope, error: BaseException) -> JSONResponse:
    """Return what answers an exception that nothing expects: an action handler or an entity search may raise anything.

    Starlette's own response bypasses all middleware, so a page from another origin could not read it.
    """
    return response_for(scope, to_server_error(as_exception(error)))


def install_error_handlers(app: FastAPI) -> None:
    """Make all routes answer errors with `ErrorBody`."""
    app.add_exception_handler(Exception, _any)  # raised by middleware
    for expected in (ServerError, NotFoundError, StoreError):
        app.add_exception_handler(expected, _any)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _any(request: Request, error: Exception) -> JSONResponse:
    return response_for(request.scope, to_server_error(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    return response_for(request.scope, InvalidParams())


def _allowed_methods(app: FastAPI) -> AllowedMethods:
    """Return those of all routes of the app, which are complete when its first request comes."""
    if not hasattr(app.state, "allowed_methods"):
        app.state.allowed_methods = AllowedMethods(app)
    allowed: AllowedMethods = app.state.allowed_methods
    return allowed


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    is_wrong_method = error.status_code == MethodNotAllowed.status
    if is_wrong_method or error.status_code == NotFound.status:
        if (base := openai_base(request)) is not None:
            wrong_base = WrongBase(base)
            body = wrong_base.body(request.state.request_id) | openai_body(wrong_base).model_dump()
            return JSONResponse(body, status_code=wrong_base.status)
        methods = _allowed_methods(request.app).at(request.scope)
        if not methods and is_wrong_method and not is_of_the_api(request.scope):
            methods = ["GET", "HEAD"]  # of the page's files
        refusal = MethodNotAllowed(methods) if methods else NotFound("There is nothing at this address.")
        return response_for(request.scope, refusal)
    body = {"code": "http_error", "message": error.detail, "request_id": request.state.request_id}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)
