"""One app for each module; its tests are kept apart by being different users. `stage` says what the agent plays."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.serving import Served, Tab, serve
from tests.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages() -> Stage:
    """The stage that the module's app looks at."""
    return Stage()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(stages: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The module's app."""
    folder = tmp_path_factory.mktemp("served")
    options = {"ping_seconds": 0.2, "max_body_bytes": 20_000, "tools": "search", "attachments": False}
    async with serve(folder, stages.agent, server=stages.factory(), **options) as served:
        yield served


@pytest.fixture
def stage(stages: Stage) -> Stage:
    """The stage, empty."""
    stages.__init__()  # type: ignore[misc]  # emptied in place: the app holds on to it
    return stages


@pytest_asyncio.fixture(loop_scope="module")
async def tab(served: Served) -> AsyncIterator[Tab]:
    """A browser of a new user."""
    async with served.tab() as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(served: Served) -> AsyncIterator[Tab]:
    """Another user's browser."""
    async with served.tab() as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def script(served: Served, tab: Tab) -> AsyncIterator[Tab]:
    """The same user's client that is no ChatKit frame."""
    async with served.tab(frame=False, cookies=tab.cookies) as script:
        yield script
