"""Actions, forms, client tools, questions and approvals, on the event loop of the server.

Most of these tests need only SQLite; those where the database matters use `both_databases`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import fresh_database
from tests.turns.conftest import api, chat, pytest_asyncio_loop_factories, start, upstream

__all__ = ["api", "chat", "pytest_asyncio_loop_factories", "start", "upstream"]


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with the schema."""
    with fresh_database(request.param, tmp_path, request, with_schema=True) as url:
        yield url
