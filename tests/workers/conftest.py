"""Workers are processes here; they share the database and the model's endpoint."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.databases import is_guarded
from tests.support.openai_server import OpenAIServer
from tests.turns.conftest import api, chat, start, upstream
from tests.workers.processes import Nursery, Worker, fork, nursery

__all__ = ["api", "chat", "start", "upstream"]

Fork = Callable[..., Awaitable[Worker]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], Any]]:
    """The event loop of `chatkit-server serve`, for apps in the test's process."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def warm() -> Iterator[Nursery]:
    """The process that servers are forked from."""
    with nursery() as process:
        yield process


@pytest.fixture
async def forked(
    warm: Nursery, engine: AsyncEngine, database_url: str, upstream: OpenAIServer, api: str, tmp_path: Path
) -> AsyncIterator[Fork]:
    """Start a server on the test's database with the test's settings."""
    workers: list[Worker] = []

    async def start(**settings: Any) -> Worker:
        shared = {"database_url": database_url, "base_url": upstream.base_url, "api": api}
        shared |= {"row_security": str(is_guarded(database_url))}
        workers.append(await fork(warm, tmp_path, f"worker-{len(workers)}", shared | settings))
        return workers[-1]

    yield start
    for worker in workers:
        if warm.order(poll=worker.number) is None:
            worker.kill()
            await worker.gone()
