"""What odd endpoints stream, through the real app and the real openai client, each shape in a turn and in the next."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, function_tool

from chatkit_server.errors.failures import NOTICES, TEXTS
from tests.serving import Served, serve
from tests.support.raw_endpoint import DONE, RawEndpoint, Reply, as_json, chunk, completion, data, http, stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROME, OSLO = '{"city":"Rome"}', '{"city":"Oslo"}'
FINE = stream(chunk({"content": "Fine."}), chunk({}, "stop"), DONE)


@function_tool
def get_weather(city: str) -> str:
    """Return the weather."""
    return f"sunny in {city}"


@function_tool
def now(zone: str = "UTC") -> str:
    """Return the time."""
    return "noon"


@dataclass
class Place:
    """An app, and the endpoint of its model."""

    endpoint: RawEndpoint
    served: Served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Yield one app for all shapes."""
    agent = Agent(name="Helper", tools=[get_weather, now])
    async with RawEndpoint(lambda body: FINE) as endpoint:
        settings: dict[str, Any] = {"model": "m", "base_url": endpoint.base_url, "model_retries": 0, "titles": False}
        async with serve(tmp_path_factory.mktemp("odd"), agent, **settings) as served:
            yield Place(endpoint, served)


def call(arguments: Any, name: str | None = "get_weather", **fields: Any) -> dict[str, Any]:
    """Return an entry of `tool_calls`."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}} | fields


def piece(arguments: str, **fields: Any) -> dict[str, Any]:
    """Return a later piece of a call."""
    return {"function": {"arguments": arguments}} | fields


def calls(*entries: Any) -> bytes:
    """Return a chunk with these entries."""
    return chunk({"tool_calls": list(entries)})


ONE, TWO = ["sunny in Rome"], ["sunny in Rome", "sunny in Oslo"]

CALLS: dict[str, tuple[list[bytes], list[str]]] = {
    "no id": ([calls(call(ROME, index=0))], ONE),
    "an empty id": ([calls(call(ROME, index=0, id=""))], ONE),
    "a number as id": ([calls(call(ROME, index=0, id=17))], ONE),
    "one id for two": ([calls(call(ROME, index=0, id="x"), call(OSLO, index=1, id="x"))], TWO),
    "one id and one index for two": ([calls(call(ROME, index=0, id="x")), calls(call(OSLO, index=0, id="x"))], TWO),
    "an object as arguments": ([calls(call({"city": "Rome"}, index=0, id="c"))], ONE),
    "a choice without an index": ([data({"choices": [{"delta": {"tool_calls": [call(ROME, index=0, id="c")]}}]})], ONE),
    "pieces": (
        [calls(call("", index=0, id="c")), calls(piece('{"ci', index=0)), calls(piece('ty":"Rome"}', index=0))],
        ONE,
    ),
    "the id in each piece": (
        [
            calls(call("", index=0, id="c")),
            calls(call('{"ci', index=0, id="c")),
            calls(call('ty":"Rome"}', index=0, id="c")),
        ],
        ONE,
    ),
    "the name in each piece": (
        [calls(call('{"ci', index=0)), calls(call('ty":', index=0)), calls(call('"Rome"}', index=0))],
        ONE,
    ),
    "a new id in each piece": (
        [calls(call('{"ci', index=0, id="a")), calls(piece('ty":"Rome"}', index=0, id="b"))],
        ONE,
    ),
    "an empty name and id later": ([calls(call("", index=0, id="c")), calls(call(ROME, "", index=0, id=""))], ONE),
    "the whole call once more": ([calls(call(ROME, index=0, id="c")), calls(call(ROME, index=0, id="c"))], ONE),
    "no index, whole calls": ([calls(call(ROME, id="a")), calls(call(OSLO, id="b"))], TWO),
    "no index and no id, whole calls": ([calls(call(ROME), call(OSLO))], TWO),
    "no index, pieces": (
        [
            calls(call('{"city":', id="a")),
            calls(piece('"Rome"}')),
            calls(call('{"city":', id="b")),
            calls(piece('"Oslo"}')),
        ],
        TWO,
    ),
    "one index": ([calls(call(ROME, index=0, id="a")), calls(call(OSLO, index=0, id="b"))], TWO),
    "one index, no id": ([calls(call(ROME, index=0)), calls(call(OSLO, index=0))], TWO),
    "one index, one chunk": ([calls(call(ROME, index=0, id="a"), call(OSLO, index=0, id="b"))], TWO),
    "pieces in turns": (
        [
            calls(call('{"city":', index=0, id="a"), call('{"city":', index=1, id="b")),
            calls(piece('"Rome"}', index=0), piece('"Oslo"}', index=1)),
        ],
        TWO,
    ),
    "no arguments": ([calls({"index": 0, "id": "c", "function": {"name": "now"}})], ["noon"]),
    "null arguments": ([calls(call(None, "now", index=0, id="c"))], ["noon"]),
    "two without arguments": ([calls(call("", "now", index=0)), calls(call(ROME, index=0))], ["noon", *ONE]),
    "indexes from 1": ([calls(call(ROME, index=1, id="a")), calls(call(OSLO, index=2, id="b"))], TWO),
    "an index as text": ([calls(call(ROME, index="0", id="c"))], ONE),
    "no type": ([calls(call(ROME, index=0, id="c", type=None))], ONE),
    "no function around the name": ([calls({"index": 0, "id": "c", "name": "get_weather", "arguments": ROME})], ONE),
    "function_call": (
        [
            chunk({"function_call": {"name": "get_weather", "arguments": '{"city":'}}),
            chunk({"function_call": {"arguments": '"Rome"}'}}),
        ],
        ONE,
    ),
    "finish stop": ([chunk({"tool_calls": [call(ROME, index=0, id="c")]}, "stop")], ONE),
    "finish length, whole call": ([chunk({"tool_calls": [call(ROME, index=0, id="c")]}, "length")], ONE),
    "a message": ([data({"choices": [{"message": {"content": None, "tool_calls": [call(ROME, id="c")]}}]})], ONE),
}


@pytest.mark.parametrize("name", CALLS)
async def test_every_form_of_tool_calls_works(place: Place, name: str) -> None:
    events, outputs = CALLS[name]
    place.endpoint.replies[name] = stream(*events, chunk({}, "tool_calls"), DONE)
    async with place.served.tab() as tab:
        reply = await tab.create(name)
        assert reply.text == "Fine."
        messages = place.endpoint.bodies[-1]["messages"]
        assert [message["content"] for message in messages if message["role"] == "tool"] == outputs
        ids = [entry["id"] for message in messages for entry in message.get("tool_calls", ())]
        assert ids == [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert len(set(ids)) == len(outputs)
        assert all(isinstance(call_id, str) and call_id for call_id in ids)
        assert (await tab.send(reply.thread_id, "next")).text == "Fine."


WHOLE = chunk({"content": "Whole"})
STOP = chunk({}, "stop")
LATIN = WHOLE.replace(b"Whole", b"caf\xe9")
ANSWERS: dict[str, tuple[Reply, str]] = {
    "text parts": (
        stream(chunk({"content": [{"type": "text", "text": "Who"}, {"type": "text", "text": "le"}]}), STOP, DONE),
        "Whole",
    ),
    "thinking parts": (
        stream(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]}),
            chunk({"content": [{"type": "text", "text": "Who"}, {"type": "reference", "reference_ids": [1]}]}),
            chunk({"content": "le"}),
            STOP,
            DONE,
        ),
        "Whole",
    ),
    "texts as parts": (stream(chunk({"content": ["Who", "le"]}), STOP, DONE), "Whole"),
    "one part": (stream(chunk({"content": {"type": "text", "text": "Whole"}}), STOP, DONE), "Whole"),
    "no reason, but [DONE]": (stream(WHOLE, DONE), "Whole"),
    "no [DONE]": (stream(WHOLE, STOP), "Whole"),
    "no empty line at the end": (stream(WHOLE, STOP.rstrip()), "Whole"),
    "an unknown reason": (stream(WHOLE, chunk({}, "eos"), DONE), "Whole"),
    "byte order mark": (stream(b"\xef\xbb\xbf", WHOLE, STOP, DONE), "Whole"),
    "byte order marks amid": (stream(WHOLE, b"\xef\xbb\xbf", STOP, DONE), "Whole"),
    "carriage returns": (stream(*(event.replace(b"\n", b"\r\n") for event in (WHOLE, STOP, DONE))), "Whole"),
    "no space": (stream(*(event.replace(b"data: ", b"data:") for event in (WHOLE, STOP, DONE))), "Whole"),
    "comments and pings": (stream(b": ping\n\n", WHOLE, b"data: \n\n", b"data: PROCESSING\n\n", STOP, DONE), "Whole"),
    "no choices": (stream(data({"choices": []}), data({"choices": None}), data({}), WHOLE, STOP, DONE), "Whole"),
    "null delta": (stream(data({"choices": [{"index": 0, "delta": None}]}), WHOLE, STOP, DONE), "Whole"),
    "choices from 1": (
        stream(
            data({"choices": [{"index": 1, "delta": {"content": "Whole"}}]}),
            data({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}),
        ),
        "Whole",
    ),
    "a role that is null": (stream(chunk({"role": None, "content": "Whole"}), STOP, DONE), "Whole"),
    "an error that is null": (stream(chunk({"content": "Whole"}, error=None), STOP, DONE), "Whole"),
    "usage as text": (stream(WHOLE, chunk({}, "stop", usage={"prompt_tokens": "5"}), DONE), "Whole"),
    "not UTF-8": (stream(LATIN, STOP, DONE), "caf�"),
    "odd citations": (
        stream(
            chunk({"content": "Whole", "annotations": [None, "x", {"type": "novel"}, {"url_citation": {"url": 3}}]}),
            STOP,
            DONE,
        ),
        "Whole",
    ),
    "odd blocks of thoughts": (
        stream(chunk({"thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": None}]}), WHOLE, STOP),
        "Whole",
    ),
    "JSON": (as_json(completion({"content": "Whole"})), "Whole"),
    "JSON with parts": (as_json(completion({"content": [{"type": "text", "text": "Whole"}]})), "Whole"),
    "JSON as text": (http(json.dumps(completion({"content": "Whole"})).encode(), "text/plain"), "Whole"),
    "events as text": (http(WHOLE + STOP + DONE, "text/plain"), "Whole"),
    "events as JSON": (http(WHOLE + STOP + DONE, "application/json"), "Whole"),
    "no type": (http(WHOLE + STOP + DONE, None), "Whole"),
    "JSON with a tool call": (as_json(completion({"tool_calls": [call(ROME, id="c")]}, "tool_calls")), "Fine."),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_form_of_an_answer_is_shown(place: Place, name: str) -> None:
    place.endpoint.replies[name], text = ANSWERS[name]
    async with place.served.tab() as tab:
        reply = await tab.create(name)
        assert reply.error is None
        assert reply.text == text
        (turn,) = await turns(place, reply.thread_id)
        assert (turn["status"], turn["error_code"]) == ("completed", None)


HALF = chunk({"content": "half"})
CUT_CALL = calls(call('{"ci', index=0, id="c"))
NOT_LISTED = {"object": "list", "data": []}
FAILURES: dict[str, tuple[Reply, str]] = {
    "cut": (stream(HALF), "answer_cut"),
    "cut, with an empty reason": (stream(chunk({"content": "half"}, "")), "answer_cut"),
    "cut, with a reason that says null": (stream(chunk({"content": "half"}, "null")), "answer_cut"),
    "cut amid JSON": (stream(HALF, b'data: {"id":"1","obj'), "answer_cut"),
    "cut amid a thought": (stream(chunk({"reasoning_content": "hm"})), "answer_cut"),
    "cut amid a call": (stream(HALF, CUT_CALL), "answer_cut"),
    "cut JSON": (http(json.dumps(completion({"content": "x"})).encode()[:60], "application/json"), "answer_cut"),
    "not JSON": (stream(HALF, b"data: {broken}\n\n", STOP, DONE), "model_behavior"),
    "reason error": (stream(HALF, chunk({}, "error"), DONE), "model_unavailable"),
    "OpenRouter": (
        stream(HALF, chunk({"content": ""}, "error", error={"code": 402, "message": "no"}), DONE),
        "model_quota",
    ),
    "an error chunk": (stream(HALF, data({"error": {"message": "boom", "code": 429}}), DONE), "model_rate_limit"),
    "an error as text": (stream(HALF, b'data: {"error": "model is overloaded"}\n\n'), "model_overloaded"),
    "an error event": (stream(HALF, b'event: error\ndata: {"message": "boom", "code": 502}\n\n'), "model_unavailable"),
    "vLLM": (
        stream(b'data: {"object":"error","message":"maximum context length is 4096","code":400}\n\n', DONE),
        "context_too_long",
    ),
    "filtered, no text": (stream(chunk({}, "content_filter"), DONE), "content_filter"),
    "length, no text": (stream(chunk({"reasoning_content": "hm"}), chunk({}, "length"), DONE), "length_limit"),
    "length amid a call": (stream(CUT_CALL, chunk({}, "length"), DONE), "length_limit"),
    "length before the arguments": (stream(calls(call("", "now", index=0)), chunk({}, "length")), "length_limit"),
    "an error in JSON": (as_json({"error": {"message": "x", "code": "insufficient_quota"}}), "model_quota"),
    "a flat error in JSON": (as_json({"object": "error", "message": "x", "code": "insufficient_quota"}), "model_quota"),
    "a list with an error": (as_json([{"error": {"code": 400, "message": "API key not valid."}}]), "model_auth"),
    "an error of a framework": (as_json({"detail": "Not authenticated"}), "model_auth"),
    "a page": (http(b"<!doctype html><html>Login</html>", "text/html"), "model_endpoint"),
    "a page as text": (http(b"\n<html>Login</html>", "text/plain"), "model_endpoint"),
    "a page with events' type": (http(b"<html>Login</html>"), "model_endpoint"),
    "other JSON": (as_json(NOT_LISTED), "model_endpoint"),
    "Ollama's own API": (
        http(b'{"message":{"content":"hi"},"done":false}\n{"done":true}\n', "application/x-ndjson"),
        "model_endpoint",
    ),
    "an empty stream": (stream(), "no_answer"),
    "only [DONE]": (stream(DONE), "no_answer"),
    "empty JSON": (http(b"", "application/json"), "no_answer"),
    "204": (http(b"", None, 204), "no_answer"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_every_failure_within_an_answer_is_named_and_keeps_the_text(place: Place, name: str) -> None:
    reply_bytes, code = FAILURES[name]
    place.endpoint.replies[name] = reply_bytes
    async with place.served.tab() as tab:
        reply = await tab.create(name)
        assert reply.error is not None
        assert reply.error["message"].startswith(TEXTS[code][0])
        assert reply.error["allow_retry"] == TEXTS[code][1]
        (turn,) = await turns(place, reply.thread_id)
        assert (turn["status"], turn["error_code"]) == ("failed", code)
        texts = (await tab.reload(reply.thread_id)).texts()
        assert (("assistant", "half") in texts) == (b'"half"' in reply_bytes)
        assert (await tab.send(reply.thread_id, "continue")).text == "Fine."
        assert not any(message["role"] == "tool" for message in place.endpoint.bodies[-1]["messages"])


CUTS: dict[str, tuple[Reply, str]] = {
    "length": (stream(HALF, chunk({}, "length"), DONE), "length_limit"),
    "max_tokens": (stream(HALF, chunk({}, "max_tokens"), DONE), "length_limit"),
    "MAX_TOKENS": (stream(HALF, chunk({}, "MAX_TOKENS"), DONE), "length_limit"),
    "length after text, amid a call": (stream(HALF, CUT_CALL, chunk({}, "length"), DONE), "length_limit"),
    "JSON, length": (as_json(completion({"content": "half"}, "length")), "length_limit"),
    "content_filter": (stream(HALF, chunk({}, "content_filter"), DONE), "content_filter"),
    "SAFETY": (stream(HALF, chunk({}, "SAFETY"), DONE), "content_filter"),
}


@pytest.mark.parametrize("name", CUTS)
async def test_an_answer_that_is_cut_says_so_and_the_next_message_continues_it(place: Place, name: str) -> None:
    place.endpoint.replies[name], code = CUTS[name]
    async with place.served.tab() as tab:
        reply = await tab.create(name)
        assert reply.error is None
        (notice,) = [event for event in reply.events if event["type"] == "notice"]
        assert notice["message"] == NOTICES[code]
        assert ("assistant", "half") in (await tab.reload(reply.thread_id)).texts()
        (turn,) = await turns(place, reply.thread_id)
        assert (turn["status"], turn["error_code"]) == ("completed", code)
        assert (await tab.send(reply.thread_id, "continue")).text == "Fine."
        sent = [(message["role"], message["content"]) for message in place.endpoint.bodies[-1]["messages"]]
        assert [entry for entry in sent if entry[0] != "system"] == [
            ("user", name),
            ("assistant", "half"),
            ("user", "continue"),
        ]


async def turns(place: Place, thread_id: str) -> list[dict[str, Any]]:
    """Return the ends of the thread's turns."""
    return await place.served.rows("SELECT status, error_code FROM turns WHERE thread_id = :id", id=thread_id)
