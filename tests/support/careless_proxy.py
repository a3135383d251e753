"""A reverse proxy as people configure it: each fault that `doctor --url` should find is an option."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


@dataclass
class Faults:
    """What the proxy does wrong; by default nothing."""

    buffers: bool = False
    compresses: bool = False
    drops_upgrades: bool = False
    host: str | None = None
    """The `Host` that it sends instead of the browser's."""
    removes: frozenset[str] = frozenset()
    """Headers of answers."""
    adds: dict[str, str] = field(default_factory=dict)
    """Headers of answers."""
    keeps_cookies: bool = False
    """Whether it sends no `Cookie` to the server."""
    cookie_ends: str | None = None
    """What follows the value of each cookie instead of its attributes."""
    max_body: int | None = None
    answers_options: bool = False
    """Whether it answers preflights itself, with nothing."""


@contextlib.asynccontextmanager
async def careless_proxy(
    upstream: str, faults: Faults, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """Yield the URL of a proxy in front of `upstream`."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        handler = _Handler(upstream, faults, session, "https" if tls else "http")
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", handler.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=tls).start()
        try:
            yield f"{'https' if tls else 'http'}://{name}:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()


class _Handler:
    def __init__(self, upstream: str, faults: Faults, session: aiohttp.ClientSession, scheme: str) -> None:
        self._upstream = upstream
        self._faults = faults
        self._session = session
        self._scheme = scheme

    async def handle(self, request: web.Request) -> web.StreamResponse:
        faults = self._faults
        if faults.max_body is not None and (request.content_length or 0) > faults.max_body:
            return web.Response(status=413, text="<html>413 Request Entity Too Large</html>")
        if faults.answers_options and request.method == "OPTIONS":
            return web.Response(status=204)
        headers = CIMultiDict(request.headers)
        headers["host"] = faults.host or request.headers["host"]
        headers["x-forwarded-proto"] = self._scheme
        if faults.keeps_cookies:
            headers.popall("cookie", None)
        if faults.drops_upgrades:
            headers.popall("upgrade", None)
            headers.popall("connection", None)
        body = request.content if request.can_read_body else None
        async with self._session.request(
            request.method, self._upstream + request.path_qs, headers=headers, data=body, allow_redirects=False
        ) as answer:
            return await self._pass_on(request, answer)

    async def _pass_on(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        faults = self._faults
        if answer.status == 101:
            return web.Response(status=101, headers=answer.headers)
        response = web.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP | faults.removes:
                response.headers.add(name, self._cookie(value) if name.lower() == "set-cookie" else value)
        for name, value in faults.adds.items():
            response.headers.add(name, value)
        if faults.compresses:
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        if faults.buffers:
            await response.write(await answer.read())
        else:
            async for piece in answer.content.iter_any():
                await response.write(piece)
        await response.write_eof()
        return response

    def _cookie(self, value: str) -> str:
        return value if self._faults.cookie_ends is None else value.partition(";")[0] + self._faults.cookie_ends
