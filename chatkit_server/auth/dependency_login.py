"""A login that is a dependency of FastAPI: `Depends(current_user)`, as the author's routes have it."""

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import FastAPI, Request, Response, params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Message

from ..context import outer_request
from ..errors.setup import SetupError

MARKERS = (params.Depends, params.Param, params.Body)
"""What FastAPI reads of the parameters of a dependency."""
ANSWER = "chatkit.login"
HANDLERS = "starlette.exception_handlers"


class DependencyLogin:
    """Asks a dependency who sends a request, as FastAPI does for a route of the app that mounts this one.

    So it may depend on others, on security schemes, headers and cookies, `yield`, and be replaced by the app's
    `dependency_overrides` in tests. For a WebSocket it gets the request that opened it.
    """

    def __init__(self, dependency: params.Depends, title: str) -> None:
        """`title` names it in errors. Raises `SetupError` if it needs a body, which belongs to the server."""
        self._title = title

        async def answer(request: Request, answer: Any = dependency) -> Response:
            request.scope[ANSWER] = answer
            return Response()

        self._route = APIRoute(
            "/", answer, methods=["GET"], response_model=None, dependency_overrides_provider=_Overrides()
        )
        if self._route.body_field is not None:
            raise SetupError(
                f"{title} reads the body of requests, which belongs to the server. Read headers or cookies."
            )

    async def __call__(self, connection: HTTPConnection) -> Any:
        """Return what the dependency returns. Raises what it raises, and 401 if a header or cookie is missing."""
        scope = dict(outer_request(connection).scope)
        scope.pop(HANDLERS, None)  # the refusal is this server's to answer
        token = _outer_app.set(scope["app"])
        try:
            await self._route.app(scope, _no_body, _discard)
        except RequestValidationError as error:
            faults = [f"{' '.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise HTTPException(401, "; ".join(faults)) from error
        finally:
            _outer_app.reset(token)
        return scope[ANSWER]


_outer_app: ContextVar[FastAPI | None] = ContextVar("outer_app", default=None)


class _Overrides:
    """Where FastAPI looks for `dependency_overrides`: in the app of the request. A chat may be mounted in several."""

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        return getattr(_outer_app.get(), "dependency_overrides", {})


def is_dependency(function: Any) -> bool:
    """Return whether a function has parameters that only FastAPI can fill, so that it is meant for `Depends`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    try:
        hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception:  # names that exist for type checkers only
        hints = {}
    marks = [parameter.default for parameter in signature.parameters.values()]
    for hint in hints.values():
        marks += get_args(hint)[1:] if get_origin(hint) is Annotated else []
    return any(isinstance(mark, MARKERS) for mark in marks)


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(message: Message) -> None:
    pass
