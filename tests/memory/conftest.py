"""Test the memory through the real app, with the fixtures of the turns: uvloop, httptools, a real model client."""

from tests.turns.conftest import (  # noqa: F401  fixtures and a hook, found by their names
    api,
    chat,
    pytest_asyncio_loop_factories,
    start,
    upstream,
)
