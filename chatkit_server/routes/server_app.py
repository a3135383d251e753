"""The ASGI application of the server, which may be mounted in another."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import Lifespan, Receive, Scope, Send

from ..context import OUTER_APP
from ..errors.outage import Outage, begin_outages
from ..fast_path.client_writer import SCOPE_KEY, ClientWriter
from .telemetry import ask_seldom


class ServerApp(FastAPI):
    """Keeps the app that it is mounted in: the code of an adopted server looks for its own things in `request.app`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.outage = Outage()
        self._trusted_middleware: Sequence[Middleware] | None = None
        ask_seldom(self)

    def trust_middleware(self) -> None:
        """Let frames bypass the middleware so far, which leaves the bodies of event streams alone.

        If more is added, no frame bypasses any.
        """
        self._trusted_middleware = tuple(self.user_middleware)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As `FastAPI.__call__`, which puts this app in the place of the outer one."""
        if (outer := scope.get("app")) is not None:
            scope[OUTER_APP] = outer
        if "app_root_path" in scope:
            scope = _with_whole_path(scope)
        begin_outages(self.outage)
        if scope["type"] != "http" or (writer := self._writer(send)) is None:
            await super().__call__(scope, receive, send)
            return
        scope[SCOPE_KEY] = writer
        try:
            await super().__call__(scope, receive, writer.send)
        finally:
            del scope[SCOPE_KEY]  # each refers to the other

    def _writer(self, send: Send) -> ClientWriter | None:
        """Return the writer of the connection, if nobody else could see or change what it writes."""
        return ClientWriter.of(send) if tuple(self.user_middleware) == self._trusted_middleware else None


def lifespan_of(
    *chats: FastAPI, own: Lifespan[Any] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """Return the lifespan of an app that mounts these: Starlette runs that of the outermost app only.

    `app = FastAPI(lifespan=lifespan_of(chat))`. `own` is a lifespan that the app has besides: it begins before the
    chats start, and ends after they have stopped, so that agents can use what it opens; its state is that of requests.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            state = None if own is None else await stack.enter_async_context(own(app))
            for chat in chats:
                await stack.enter_async_context(chat.router.lifespan_context(chat))
            yield cast(Mapping[str, Any], state)  # None is as good, but type checkers want one of two kinds

    return lifespan


def _with_whole_path(scope: Scope) -> Scope:
    """Return the request to a mounted app with a path that begins with `root_path`.

    An app with `FastAPI(root_path="/portal")` behind a proxy that has removed `/portal` adds it to `root_path` only,
    and then Starlette finds no route of a mounted app (1.10).
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    whole = scope["app_root_path"] + path
    if is_below(path, root) or not is_below(whole, root):
        return scope
    return {**scope, "path": whole}


def is_below(path: str, root: str) -> bool:
    """Return whether a path is `root` or below it."""
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")
