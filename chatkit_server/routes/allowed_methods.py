"""Which methods an address has, for the answer to any other.

A router looks for a route that matches the path and the method. The page's files match every path, so that a request
with a wrong method would be for one of those.
"""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Route, compile_path
from starlette.types import Scope

from .server_app import is_below

OPENAI = "/v1/"
"""Where OpenAI's API is."""
API = ("/api/", OPENAI)
"""Where the page has no files."""


class AllowedMethods:
    """The methods of all routes of an app."""

    def __init__(self, app: FastAPI) -> None:
        self._routes = [
            (compile_path(context.path)[0], frozenset(context.methods or ()))
            for context in iter_route_contexts(app.routes)
            if isinstance(context.original_route, Route) and context.path is not None
        ]

    def at(self, scope: Scope) -> list[str]:
        """Return the methods that the address of a request has, in alphabetical order; none without such a route."""
        path = path_of(scope)
        found = [methods for pattern, methods in self._routes if pattern.fullmatch(path)]
        return sorted(frozenset[str]().union(*found))


def path_of(scope: Scope) -> str:
    """Return the path of a request, without that of an app around this one."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and is_below(path, root) else path


def is_of_the_api(scope: Scope) -> bool:
    """Return whether an address is one of the API, where the page has no files."""
    return path_of(scope).startswith(API)


def is_for_openai(scope: Scope) -> bool:
    """Return whether an address is one of OpenAI's API."""
    return path_of(scope).startswith(OPENAI)
