"""Take `POST /chatkit` past FastAPI's routing, after all middleware.

Its routers, exit stacks and exception handlers cost more than the rest of the way to the turn, and stay in memory while
the answer streams: eight nested calls. The route needs none of them: it reads the body, checks it and answers every
error itself. It remains a route of FastAPI for the API's description, and for whatever needs the long way.
"""

from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .allowed_methods import path_of
from .chatkit import chatkit, router

ROUTES = {route.path: route for route in router.routes if isinstance(route, Route)}
"""FastAPI's routes of the protocol, by path."""
TELEMETRY = "fastapi.telemetry"
"""What FastAPI's telemetry notes of a request, with the route that its router selects."""
EXIT_STACK = "fastapi_middleware_astack"
"""Where the dependencies of a login expect what closes at the end of the request."""


class DirectRoute:
    """ASGI middleware. Must be inside of all other middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_direct(scope):
            await self.app(scope, receive, send)
            return
        scope["endpoint"], scope["route"] = chatkit, ROUTES[path_of(scope)]
        scope.setdefault("path_params", {})  # those of the path at which an app around this one has mounted it
        async with AsyncExitStack() as stack:
            scope[EXIT_STACK] = stack
            response = await chatkit(Request(scope, receive, send))
            await response(scope, receive, send)


def is_direct(scope: Scope) -> bool:
    """Return whether a request is for the ChatKit protocol, and nothing needs FastAPI's routing for it."""
    return scope["method"] == "POST" and scope.get(TELEMETRY) is None and path_of(scope) in ROUTES
