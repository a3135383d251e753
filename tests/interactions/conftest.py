"""What people do in a chat besides talking, on what the server runs on; most of it does not differ by database."""

from tests.turns.conftest import api, chat, pytest_asyncio_loop_factories, start, upstream

__all__ = ["api", "chat", "pytest_asyncio_loop_factories", "start", "upstream"]
