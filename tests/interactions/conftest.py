"""What people do in a chat besides talking, on what the server runs on.

Most of it does not differ by database, so SQLite is enough; where it matters a test takes `both_databases`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import fresh_database
from tests.turns.conftest import api, chat, pytest_asyncio_loop_factories, start, upstream

__all__ = ["api", "chat", "pytest_asyncio_loop_factories", "start", "upstream"]


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database without a schema."""
    with fresh_database(request.param, tmp_path, request) as url:
        yield url
