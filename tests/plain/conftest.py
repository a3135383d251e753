"""The plain token API with the fixtures of tests/turns: the real app, a fake model endpoint, both databases."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import uvloop

from tests.plain.plain import Plain
from tests.turns.chat import Chat
from tests.turns.conftest import api, chat, start, upstream

__all__ = ["api", "chat", "start", "upstream"]


def pytest_asyncio_loop_factories() -> Mapping[str, Any]:
    """Use the event loop of `chatkit-server serve`."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def plain(chat: Chat) -> AsyncIterator[Plain]:
    """Yield a plain client with a cookie."""
    async with await chat.visitor() as tab:
        yield Plain(chat, tab)
