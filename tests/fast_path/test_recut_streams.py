"""However a stream is cut into chunks and writes, and whatever its text is, a run hears the same."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit_server.models import Models, open_models
from chatkit_server.settings import Settings
from tests.fast_path.listening import listen
from tests.fast_path.recorded_streams import OPENAI_ANSWERS, wire_events
from tests.fast_path.replay import HEAD, ReplayEndpoint, as_response, cut, events_of
from tests.support.openai_answers import Answer, Text

pytestmark = pytest.mark.asyncio(loop_scope="module")
ODD_TEXTS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(["\\", '"', '"delta":"x"', '"content":"y"', "data: x\n\n", "\r\n", "\u2028", "\ufeff", "\x7f"]),
        st.sampled_from(["\ud83e", "\udd8a", "a\ud83e", "\udd8ab", "\0", "a\0b"]),
    ),
    max_size=12,
)
Endpoints = tuple[ReplayEndpoint, dict[str, Models]]
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoints() -> AsyncIterator[Endpoints]:
    async with ReplayEndpoint() as endpoint:
        options: dict[str, Any] = {"base_url": endpoint.base_url, "model": "m", "model_retries": 0}
        async with (
            open_models(Settings(_env_file=None, api="responses", **options)) as responses,
            open_models(Settings(_env_file=None, api="chat_completions", **options)) as chat,
        ):
            yield endpoint, {"responses": responses, "chat_completions": chat}


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@given(data=st.data())
@EXAMPLES
async def test_a_stream_may_be_cut_anywhere(endpoints: Endpoints, api: str, data: st.DataObject) -> None:
    endpoint, models = endpoints
    events = wire_events(OPENAI_ANSWERS[data.draw(st.sampled_from(["text", "two texts", "citations"]))], api)
    whole = b"".join(events)
    places = st.lists(st.integers(0, len(whole)), max_size=40)
    chunks = cut(whole, data.draw(places))
    wire = b"".join(as_response(chunks))
    endpoint.plays = [cut(wire, data.draw(st.lists(st.integers(0, len(wire)), max_size=40)))]
    assert await listen(models[api]) == await listen(models[api], is_fast=False)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@given(texts=ODD_TEXTS, is_ascii=st.booleans(), at_once=st.booleans())
@EXAMPLES
async def test_a_text_may_be_anything(
    endpoints: Endpoints, api: str, texts: list[str], is_ascii: bool, at_once: bool
) -> None:
    endpoint, models = endpoints
    marks = [f"<{number}>" for number in range(len(texts))]
    stream = b"".join(wire_events(Answer(Text("", tokens=["a", *marks, "z"])), api))
    for mark, text in zip(marks, texts, strict=True):
        stream = stream.replace(mark.encode(), _escaped(text, is_ascii)[1:-1])
    writes = as_response(events_of(stream))
    endpoint.plays = [[b"".join(writes)] if at_once else writes]
    fast, slow = await listen(models[api]), await listen(models[api], is_fast=False)
    assert fast == slow
    assert fast.output is not None


def _escaped(text: str, is_ascii: bool) -> bytes:
    has_half = any("\ud800" <= character <= "\udfff" for character in text)
    return json.dumps(text, ensure_ascii=is_ascii or has_half).encode()


async def test_a_stream_may_come_byte_by_byte(endpoints: Endpoints) -> None:
    endpoint, models = endpoints
    wire = b"".join(as_response(wire_events(OPENAI_ANSWERS["one token"], "responses")))
    endpoint.plays = [[HEAD, *(bytes([byte]) for byte in wire[len(HEAD) :])]]
    assert await listen(models["responses"]) == await listen(models["responses"], is_fast=False)
