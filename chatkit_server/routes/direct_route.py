"""Take `POST /chatkit` past FastAPI's routing, after all middleware.

Its routers, exit stacks and exception handlers cost more than the rest of the way to the turn, and stay in memory while
the answer streams: eight nested calls. The route needs none of them: it reads the body, checks it and answers every
error itself. It remains a route of FastAPI for the API's description, and for whatever needs the long way.
"""

from contextlib import AsyncExitStack

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .allowed_methods import path_of
from .chatkit import chatkit, router
from .direct_request import DirectRequest

ROUTES = {route.path: route for route in router.routes if isinstance(route, Route)}
"""FastAPI's routes of the protocol, by path."""
TELEMETRY = "fastapi.telemetry"
"""What FastAPI's telemetry notes of a request, with the route that its router selects."""
EXIT_STACK = "fastapi_middleware_astack"
"""Where the dependencies of a login expect what closes at the end of the request."""


def is_direct(scope: Scope) -> bool:
    """Return whether a request is for the ChatKit protocol, and nothing needs FastAPI's routing for it."""
    return scope["method"] == "POST" and scope.get(TELEMETRY) is None and path_of(scope) in ROUTES


async def answer_directly(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for which `is_direct` is true."""
    scope["endpoint"], scope["route"] = chatkit, ROUTES[path_of(scope)]
    scope.setdefault("path_params", {})  # those of the path at which an app around this one has mounted it
    async with AsyncExitStack() as stack:
        scope[EXIT_STACK] = stack
        response = await chatkit(DirectRequest(scope, receive, send))
        await response(scope, receive, send)
