"""All that a client can call: the routes of the app, and the operations of the protocol."""

from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount, Route, WebSocketRoute


def routes_of(app: FastAPI) -> set[str]:
    """Return every route as `METHOD /path`, `WEBSOCKET /path` or `MOUNT /path`. Raises `TypeError` for another kind."""
    names = set[str]()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        match route:
            case WebSocketRoute() | APIWebSocketRoute():
                names.add(f"WEBSOCKET {context.path}")
            case Route():
                names |= {f"{method} {context.path}" for method in context.methods or ("GET",)}
            case Mount():
                names.add(f"MOUNT {context.path or '/'}")
            case _:
                raise TypeError(f"tests/hostile/surface.py does not know routes of {type(route)}: add the kind")
    return names
