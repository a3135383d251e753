"""Errors as JSON: a top-level `message` and `code`, whatever went wrong."""

from typing import Any

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkit_store import StoreError

from ..errors.http import InvalidParams, NotFound, ServerError, to_server_error


class ErrorBody(BaseModel):
    """What every refused request is answered."""

    code: str
    message: str
    request_id: str


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": ErrorBody,
        "description": "Refused, and nothing was done: 400 what was sent is wrong, 404 it is not there or not yours, "
        "409 its state forbids it, 413 too large",
    },
}
"""For the description of a route."""


def error_response(error: ServerError, request_id: str) -> JSONResponse:
    """The plain answer for clients that are not a ChatKit frame."""
    # The header as well: Starlette answers an unexpected error outside all middleware.
    return JSONResponse(error.body(request_id), status_code=error.status, headers={"x-request-id": request_id})


class UnexpectedErrors:
    """ASGI middleware that answers what no handler expects, inside of CORS.

    Starlette's own answer to it passes no middleware: a page of another origin could not read it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_started = False

        async def noting_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except Exception as error:
            if has_started:  # the HTTP server cuts the answer off, which is all that can be said now
                raise
            response = await _any(Request(scope), error)
            await response(scope, receive, send)


def install_error_handlers(app: FastAPI) -> None:
    """One shape of error body for all routes."""
    app.add_exception_handler(Exception, _any)  # what middleware raises
    for expected in (ServerError, NotFoundError, StoreError):
        app.add_exception_handler(expected, _any)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _any(request: Request, error: Exception) -> JSONResponse:
    return error_response(to_server_error(error), request.state.request_id)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    return error_response(InvalidParams(), request.state.request_id)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFound.status:
        return error_response(NotFound("There is nothing at this address."), request.state.request_id)
    body = {"code": "http_error", "message": error.detail, "request_id": request.state.request_id}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)
