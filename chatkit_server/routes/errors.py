"""Errors as JSON: a top-level `message` and `code`, whatever went wrong."""

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from store import StoreError

from ..errors import InvalidParams, NotFound, ServerError, describe


def error_response(error: ServerError, request_id: str) -> JSONResponse:
    """The plain answer for clients that are not a ChatKit frame."""
    # The header as well: Starlette answers an unexpected error outside all middleware.
    return JSONResponse(error.body(request_id), status_code=error.status, headers={"x-request-id": request_id})


def install_error_handlers(app: FastAPI) -> None:
    """One shape of error body for all routes."""
    app.add_exception_handler(Exception, _any)  # Starlette raises these again, so that the HTTP server logs a trace
    for expected in (ServerError, NotFoundError, StoreError):
        app.add_exception_handler(expected, _any)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _any(request: Request, error: Exception) -> JSONResponse:
    return error_response(describe(error, request.state.request_id), request.state.request_id)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    return error_response(InvalidParams(), request.state.request_id)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFound.status:
        return error_response(NotFound("There is nothing at this address."), request.state.request_id)
    body = {"code": "http_error", "message": error.detail, "request_id": request.state.request_id}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)
