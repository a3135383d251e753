"""One app per module; each test is a different user. `stage` scripts the agent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.serving import Served, Tab, serve
from tests.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages() -> Stage:
    """Return the stage of the module's app."""
    return Stage()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(stages: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Yield the module's app."""
    folder = tmp_path_factory.mktemp("served")
    options: dict[str, Any] = {"ping_seconds": 0.2, "max_body_bytes": 20_000, "tools": "search", "attachments": False}
    async with serve(folder, stages.agent, server=stages.factory(), **options) as served:
        yield served


@pytest.fixture
def stage(stages: Stage) -> Stage:
    """Return the stage, emptied."""
    stages.__init__()  # type: ignore[misc]  # emptied in place: the app keeps a reference
    return stages


@pytest_asyncio.fixture(loop_scope="module")
async def tab(served: Served) -> AsyncIterator[Tab]:
    """Yield a browser of a new user."""
    async with served.tab() as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(served: Served) -> AsyncIterator[Tab]:
    """Yield another user's browser."""
    async with served.tab() as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def script(served: Served, tab: Tab) -> AsyncIterator[Tab]:
    """Yield a client of the same user that is not a ChatKit frame."""
    async with served.tab(frame=False, cookies=tab.cookies) as script:
        yield script
