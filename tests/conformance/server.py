"""One local server that answers as each endpoint, under `/<endpoint>/v1`."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from aiohttp import web

from tests.conformance.endpoints import ENDPOINTS, Endpoint
from tests.conformance.refusals import refusal
from tests.conformance.shapes import Call, Json, Say
from tests.support.openai_answers import OVERLOADED, Answer, Reasoning, ToolCall
from tests.support.openai_server import OpenAIServer

THOUGHTS = "I should look it up, step by step."
LONG = "This answer is long, and it does not end."


def answer_to(messages: Sequence[Json]) -> Say:
    """Return the answer of the model: tools for the weather, thoughts if asked, else a greeting."""
    last = messages[-1]
    question = next(_words(message) for message in reversed(messages) if message["role"] == "user").split("\n\n")[-1]
    thoughts = THOUGHTS if "think" in question else ""
    if last["role"] == "tool":
        if "fail" in question:
            return Say(fails=True)
        outputs = [_words(message) for message in messages if message["role"] == "tool"][-question.count("in ") :]
        return Say(f"It is {' and '.join(outputs)}." if "weather" in question else "I made a mistake.", thoughts)
    cities = re.findall(r"in (\w+)", question)
    if "weather" in question:
        # Models that think do so before each call, whether they are asked or not.
        return Say(thoughts=THOUGHTS, calls=[Call("get_weather", f'{{"city": "{city}"}}') for city in cities])
    if "broken call" in question:
        return Say(thoughts=THOUGHTS, calls=[Call("get_weather", '{"city": "Ro')])
    if "cut" in question:
        return Say(LONG, is_cut=True)
    if "long" in question:
        return Say(LONG, hangs=True)
    return Say("Hello.", thoughts, fails="fail" in question)


def _words(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n\n".join(part.get("text", "") for part in content)


def _openai_answer(body: Json) -> Answer:
    """Return the same answer for OpenAI's APIs. Chat Completions shows no thoughts."""
    is_chat = "messages" in body
    say = answer_to(body["messages"] if is_chat else [_as_message(item) for item in body["input"]])
    return Answer(
        say.text,
        reasoning=Reasoning([say.thoughts]) if say.thoughts and not is_chat else None,
        tool_calls=[ToolCall(call.name, call.arguments) for call in say.calls],
        hang_after=2 if say.hangs else None,
        fail=OVERLOADED if say.fails else None,
        error_after=2 if say.is_cut else None,
        error_as="drop",
    )


def _as_message(item: Json) -> Json:
    """Return an item of the Responses API as a message: only outputs and the user's messages matter."""
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": item["output"]}
    return {"role": item.get("role", "assistant"), "content": item.get("content") or ""}


class EndpointServer:
    """Answers as all endpoints; counts calls so that ids differ."""

    def __init__(self) -> None:
        self.refusals: dict[str, list[str]] = {endpoint.path: [] for endpoint in ENDPOINTS}
        """What each endpoint refused."""
        self._openai = OpenAIServer(lambda request: _openai_answer(request.body))
        self._calls = 0
        app = web.Application()
        app.router.add_get("/{endpoint}/v1/models", self._list_models)
        app.router.add_post("/{endpoint}/v1/chat/completions", self._complete)
        self._endpoints = {endpoint.path: endpoint for endpoint in ENDPOINTS}
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        self._port = 0

    def url(self, endpoint: Endpoint) -> str:
        return self._openai.base_url if endpoint.is_openai else f"http://127.0.0.1:{self._port}/{endpoint.path}/v1"

    async def __aenter__(self) -> Self:
        await self._openai.start()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()
        await self._openai.stop()

    async def _list_models(self, http: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        endpoint = self._endpoints[http.match_info["endpoint"]]
        body = await http.json()
        if (refused := refusal(body, endpoint.refuses)) is not None:
            self.refusals[endpoint.path].append(refused)
            return web.json_response(endpoint.error(refused, endpoint.status), status=endpoint.status)
        say = answer_to(body["messages"])
        if say.fails:
            status, text = endpoint.failure
            return web.json_response(endpoint.error(text, status), status=status)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(http)
        first, self._calls = self._calls, self._calls + len(say.calls)
        for piece in endpoint.shape.stream(say, first):
            await response.write(piece)
        if say.hangs:
            await asyncio.Event().wait()  # until the client disconnects
        return response
