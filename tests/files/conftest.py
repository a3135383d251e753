"""Files are tested through the real app, with the fixtures of the turns: uvloop, httptools, a real model client."""

from collections.abc import AsyncIterator

import pytest

from tests.files.uploading import Desk
from tests.turns.conftest import (  # noqa: F401  fixtures and a hook, found by their names
    Start,
    api,
    pytest_asyncio_loop_factories,
    start,
    upstream,
)


@pytest.fixture
async def desk(start: Start) -> AsyncIterator[Desk]:  # noqa: F811  the fixture
    """A user's browser on the app with its defaults."""
    async with Desk.of(await start()) as desk:
        yield desk
