"""The ASGI application of the server, which may be mounted in another."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from ..context import OUTER_APP


class ServerApp(FastAPI):
    """Keeps the app that it is mounted in: the code of an adopted server looks for its own things in `request.app`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As `FastAPI.__call__`, which puts this app in the place of the outer one."""
        if (outer := scope.get("app")) is not None:
            scope[OUTER_APP] = outer
        await super().__call__(scope, receive, send)
