"""Exported workflows on the real app, with the provider's wire: SQLite only, the store has its own tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interactions.conftest import api, chat, database_url, pytest_asyncio_loop_factories, start, upstream

__all__ = ["api", "chat", "database_url", "pytest_asyncio_loop_factories", "start", "upstream"]


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let exports import `guardrails`, and make a client without settings: they do it on import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "packages"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-author")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "guardrails"]:
        del sys.modules[name]
