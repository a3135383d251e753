"""Stores for tests of one transaction, and servers as processes for those of many clients at once."""

from tests.store.conftest import sql, store, thread, turns, uploads
from tests.workers.conftest import api, forked, pytest_asyncio_loop_factories, upstream, warm

__all__ = [
    "api",
    "forked",
    "pytest_asyncio_loop_factories",
    "sql",
    "store",
    "thread",
    "turns",
    "upstream",
    "uploads",
    "warm",
]
