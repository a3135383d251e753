"""A request that is sent directly, and whatever becomes of it, is as if the openai client had sent it."""

import gzip
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
from openai._vendor.httpx_aiohttp.transport import AiohttpTransport
from openai.resources.chat import AsyncCompletions
from openai.resources.responses import AsyncResponses

from chatkit_server.models import open_models
from chatkit_server.models.client import direct_calls
from chatkit_server.models.client.openai_client import EndpointClient
from chatkit_server.models.endpoint import Api
from chatkit_server.models.usage import TurnUsage, turn_usage
from chatkit_server.settings import Settings
from tests.models.running import Run, run
from tests.support.raw_endpoint import (
    DONE,
    USAGE,
    RawEndpoint,
    Reply,
    ResponsesEvents,
    as_json,
    chunk,
    completion,
    http,
    stream,
)

LIMIT = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
FAILURE = {"error": {"message": "it broke", "code": "server_error"}}


def events(text: str = "Fine.") -> list[bytes]:
    """Return the events of an answer."""
    parts = ResponsesEvents()
    return [parts.start(), parts.message(text, index=0, item_id="msg_1"), parts.end()]


def whole() -> Any:
    parts = ResponsesEvents()
    parts.message("Whole.", index=0, item_id="msg_1")
    return parts.response("completed")


def chat_events(text: str = "Fine.") -> list[bytes]:
    """Return the events of an answer of Chat Completions."""
    return [chunk({"role": "assistant", "content": text}), chunk({}, "stop", usage=USAGE), DONE]


def outcomes(parts: list[bytes], whole: Any) -> dict[str, Sequence[Reply]]:
    """Return what an endpoint may answer a request with, to a client that tries twice."""
    body, fine = b"".join(parts), stream(*parts)
    return {
        "a stream": [fine],
        "a mark at the end": [stream(*parts, DONE)],
        "chunks": [http(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), transfer_encoding="chunked")],
        "a coding": [http(gzip.compress(body), content_encoding="gzip")],
        "cookies": [http(body, set_cookie="a=b", x_request_id="req_1"), fine],
        "no stream": [as_json(whole)],
        "another type": [http(body, "text/plain")],
        "a page": [http(b"<html>Login</html>", "text/html")],
        "nothing": [stream()],
        "a cut": [stream(*parts[:1])],
        "an error in the stream": [stream(parts[0], b'data: {"error": {"message": "it broke", "code": "x"}}\n\n')],
        "a limit, then a stream": [as_json(LIMIT, 429, retry_after_ms="5"), fine],
        "a long wait": [as_json(LIMIT, 429, retry_after="60")],
        "an error, twice": [as_json(FAILURE, 500, retry_after_ms="5")] * 2,
        "a wrong request": [as_json({"error": {"message": "no such field"}}, 400)],
        "a redirect": [http(b"", None, 307, location="/v1/responses"), fine],
        "a lost connection, then a stream": [b"", fine],
        "a lost connection, twice": [b"", b""],
    }


FINE = stream(*events())
OUTCOMES = outcomes(events(), whole())
CHAT_OUTCOMES = outcomes(chat_events(), completion({"content": "Whole."}))
SENT_BY_STOCK = {
    "a coding": 1,
    "no stream": 1,
    "another type": 1,
    "a page": 1,
    "a limit, then a stream": 1,
    "a long wait": 1,
    "an error, twice": 1,
    "a wrong request": 1,
    "a redirect": 1,
    "a lost connection, then a stream": 1,
    "a lost connection, twice": 1,
}
"""How many calls of the openai client follow a direct request, by outcome; each of the others needs none."""


OBSERVABLE = [
    (AsyncResponses, "create"),
    (AsyncCompletions, "create"),
    (httpx2.AsyncClient, "send"),
    (AiohttpTransport, "handle_async_request"),
]
"""What a tool that observes requests may wrap."""


async def _outcome(
    replies: Sequence[Reply], *, is_direct: bool, monkeypatch: pytest.MonkeyPatch, api: Api = "responses"
) -> tuple[Any, int]:
    """Ask once for a fine answer, then for those of `replies`; return all that can be seen, and the client's calls."""
    monkeypatch.setattr(direct_calls, "HAS_TRANSPORT_PARTS", is_direct)
    calls: list[object] = []
    request = EndpointClient.request

    async def count(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(self)
        return await request(self, *args, **options)

    seen: list[Any] = []
    left = [FINE if api == "responses" else stream(*chat_events()), *replies]
    with monkeypatch.context() as patched:
        patched.setattr(EndpointClient, "request", count)
        async with RawEndpoint(lambda body: left.pop(0)) as endpoint:
            settings = Settings(_env_file=None, model="m", base_url=endpoint.base_url, api=api, model_retries=1)
            async with open_models(settings) as models:
                while left:
                    usage, leaves = TurnUsage(on_request=lambda: seen.append("leaves")), len(seen)
                    turn_usage.set(usage)
                    ran = Run()
                    try:
                        await run(models, "Hi é \u2028", into=ran)
                    except Exception as error:
                        text = str(error).replace(endpoint.base_url, "URL")
                        seen.append((type(error), text, type(error.__cause__), getattr(error, "status_code", None)))
                    assert "leaves" in seen[leaves:]
                    seen[leaves:] = [entry for entry in seen[leaves:] if entry != "leaves"]
                    ids = [getattr(getattr(event, "response", None), "_request_id", None) for event in ran.events]
                    seen.append((ran.output, ran.types, ran.tokens, ids, usage.retries))
            address = endpoint.base_url.split("/")[2]
            heads = [head.replace(address, "ADDRESS") for head in endpoint.heads]
        return (seen, heads, endpoint.bodies), len(calls)


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("name", OUTCOMES)
async def test_whatever_becomes_of_a_direct_request_is_as_of_the_openai_client(
    name: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = (OUTCOMES if api == "responses" else CHAT_OUTCOMES)[name]
    directly, calls = await _outcome(replies, is_direct=True, monkeypatch=monkeypatch, api=api)
    stock, stock_calls = await _outcome(replies, is_direct=False, monkeypatch=monkeypatch, api=api)
    assert directly == stock
    assert calls == 1 + SENT_BY_STOCK.get(name, 0)  # the first request is the stock code's
    assert stock_calls > 1


def test_the_openai_client_has_what_direct_requests_need() -> None:
    assert direct_calls.HAS_TRANSPORT_PARTS
    for owner, name in OBSERVABLE:
        assert direct_calls.is_untouched(getattr(owner, name))


@pytest.mark.parametrize(("owner", "name"), OBSERVABLE)
async def test_a_tool_that_wraps_a_method_of_the_libraries_sees_each_request(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, seen = getattr(owner, name), []

    async def observed(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(self)
        return await method(self, *args, **options)

    monkeypatch.setattr(owner, name, observed)
    api: Api = "chat_completions" if owner is AsyncCompletions else "responses"
    fine = stream(*chat_events()) if owner is AsyncCompletions else FINE
    await _outcome([fine, fine], is_direct=True, monkeypatch=monkeypatch, api=api)
    assert len(seen) == 3


async def test_a_log_of_requests_has_each_of_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "httpx2")
    _, calls = await _outcome([FINE, FINE], is_direct=True, monkeypatch=monkeypatch)
    assert calls == 3


async def test_an_outcome_that_nobody_takes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    responses: list[aiohttp.ClientResponse] = []
    ask = direct_calls.DirectCalls.ask

    async def keep(self: Any, options: Any) -> Any:
        if isinstance(outcome := await ask(self, options), direct_calls.EarlyOutcome):
            assert isinstance(response := outcome._outcome, aiohttp.ClientResponse)
            responses.append(response)

            async def fail(self: Any, *args: Any, **options: Any) -> Any:
                raise openai.APIConnectionError(request=httpx2.Request("POST", "http://x"))

            monkeypatch.setattr(EndpointClient, "request", fail)
        return outcome

    monkeypatch.setattr(direct_calls.DirectCalls, "ask", keep)
    replies: list[Reply] = [FINE, as_json(FAILURE, 500)]
    async with RawEndpoint(lambda body: replies.pop(0)) as endpoint:
        settings = Settings(_env_file=None, model="m", base_url=endpoint.base_url, api="responses", model_retries=0)
        async with open_models(settings) as models:
            await run(models, "hi")
            with pytest.raises(openai.APIConnectionError):
                await run(models, "hi")
    assert [response.closed for response in responses] == [True]
