"""Fixtures for `ChatKitServer` classes on both hosts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from agents.tracing import get_trace_provider

from tests.adopted.hosts import Host
from tests.support.openai_server import OpenAIServer


@pytest.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIServer]:
    """Yield the model endpoint that OpenAI's client finds in the environment."""
    async with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


@pytest.fixture
def _no_traces() -> Iterator[None]:
    """Upload no traces: on the stock host, the Agents SDK would."""
    provider = get_trace_provider()
    provider.set_disabled(True)
    yield
    provider.set_disabled(False)


@pytest.fixture(params=["stock", "ours"])
def host(request: pytest.FixtureRequest, tmp_path: Path, upstream: OpenAIServer, _no_traces: None) -> Host:
    """Return a host of `ChatKitServer` classes; a test that uses it runs on each."""
    return Host(request.param, tmp_path, upstream.base_url)
