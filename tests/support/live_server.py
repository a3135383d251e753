"""Serve an ASGI app with a real uvicorn on loopback, in the test's event loop."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """A uvicorn that installs no signal handlers, never exits the process, and ends at once when it should.

    uvicorn (0.54) looks ten times a second whether it should end, then waits for 0.1 s and looks ten times a second
    whether its connections have ended: together a quarter of the time of most tests.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._end.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - as uvicorn does
                    await asyncio.sleep(0.002)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise RuntimeError("the app's lifespan failed to start; the log says why") from error


@contextlib.asynccontextmanager
async def live(app: ASGIApp, *, graceful: int = 1, within: float = 30.0) -> AsyncIterator[str]:
    """Serve `app` including its lifespan, and yield its base URL.

    On exit, open connections get `graceful` seconds, as in production. Raises `RuntimeError` if the app fails to start,
    and `TimeoutError` if starting or stopping takes longer than `within` seconds.
    """
    # asyncio disables Nagle's algorithm only if the protocol is given; otherwise each response is 40 ms late.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=graceful,
        timeout_keep_alive=60,  # not 5: a request would be reset that a busy machine sends just then
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _started(server, task, within)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end()
        async with asyncio.timeout(within):
            await asyncio.wait([task])
        listener.close()
    task.result()  # raises an error of the lifespan's shutdown


async def _started(server: uvicorn.Server, task: asyncio.Task[None], within: float) -> None:
    async with asyncio.timeout(within):
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server exited before it had started")
            await asyncio.sleep(0.005)
