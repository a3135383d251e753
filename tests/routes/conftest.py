"""One app with attachments per module; each test is a different user."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.serving import Served, Tab, serve


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Yield the module's app, with the demo model."""
    async with serve(tmp_path_factory.mktemp("served"), attachments=True) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def tab(served: Served) -> AsyncIterator[Tab]:
    """Yield a browser of a new user."""
    async with served.tab() as tab:
        yield tab
