"""Both paths make the same of every recorded stream: the same frames, items, rows and transcripts."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from agents import Agent, function_tool

from chatkit_server import agent_context
from chatkit_server.conversion import thinking
from tests.fast_path.recorded_streams import WORDS, Recorded, recorded, wire_events
from tests.fast_path.replay import END, Apps, as_response, cut, two_apps
from tests.support.openai_answers import Answer, Text

pytestmark = pytest.mark.asyncio(loop_scope="module")


@function_tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["responses", "chat_completions"])
async def apps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apps]:
    agent = Agent(name="Weather", tools=[get_weather], handoffs=[Agent(name="other")])
    async with two_apps(tmp_path_factory.mktemp("two"), agent, api=request.param) as apps:
        apps.endpoint.closes = True
        apps.api = request.param
        yield apps


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log nothing: many streams fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the model thought, and how often a thought is shown, would otherwise depend on the machine."""
    monkeypatch.setattr(agent_context, "_seconds_since", lambda _: 0)
    monkeypatch.setattr(thinking, "monotonic", lambda: 0.0)


@pytest.mark.no_cover
async def test_every_recorded_stream_leads_to_the_same(apps: Apps) -> None:
    different: list[str] = []
    for number, stream in enumerate(recorded(apps.api)):
        for way in range(3) if stream.name.startswith("OpenAI") else [number % 3]:
            fast, slow, counts = await apps.outcomes(_written(stream, way), as_response(stream.later))
            if fast != slow:
                different.append(f"{stream.name}, {way}: {fast} is not {slow}")
            if stream.name == "OpenAI: text":
                assert counts.hot == 3 * len(WORDS) - 1
    assert not different, different[0]


def _written(stream: Recorded, way: int) -> list[bytes]:
    """Return the writes of a stream: an event each, all at once, or 97 bytes each, across events."""
    end = b"" if stream.is_cut else END
    if way == 0:
        return as_response(stream.events, end=end)
    if way == 1:
        return [b"".join(as_response(stream.events, end=end))]
    whole = b"".join(stream.events)
    return as_response(cut(whole, range(0, len(whole), 97)), end=end)


async def test_a_long_answer_at_once_is_given_out_in_many_calls(apps: Apps) -> None:
    answer = Answer(Text("", tokens=[f"w{number} " for number in range(3000)]))
    fast, slow, counts = await apps.outcomes([b"".join(as_response(wire_events(answer, apps.api)))])
    assert fast == slow
    assert counts.hot == 2999
    assert counts.hot_calls >= 2999 / 64
    assert min(fast.deltas, slow.deltas) >= 20  # not one frame with all of it
