"""A fake model endpoint on loopback with OpenAI's APIs: Responses, Chat Completions and the list of models.

In a test, it runs in the test's event loop and sends scripted answers:

    async with OpenAIServer() as upstream:
        # Answer, ToolCall and the rest: tests.support.openai_answers
        upstream.script(Answer(tool_calls=[ToolCall("get_time")]), Answer("It is noon."))
        ...                                    # a client with base_url=upstream.base_url, any API key
        assert upstream.requests[0].body["model"] == "gpt-test"

The benchmark runs it as a separate process (`python -m tests.support.openai_server --tokens 500`), where the last user
message of a request sets the answer: "tokens=2000 rate=30 hang=5".
"""

import argparse
import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from aiohttp import ClientConnectionResetError, web

from tests.support.openai_answers import INVALID_API_KEY, WORDS, Answer, Failure, Reasoning, Text
from tests.support.openai_checks import ProviderChecks
from tests.support.openai_recordings import Recording, read_recording
from tests.support.openai_rules import SentItems, broken_rule
from tests.support.openai_wire import ChatWire, ResponsesWire, Step, Wire

BATCH_BYTES = 4096  # at full speed: about a dozen tokens per write, like the stream of a fast provider


@dataclass
class ModelRequest:
    """One request to the endpoint, and the state of the connection that waits for its answer."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    opened_at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the answer is complete or the client has disconnected."""
    client_gone: bool = False
    """Whether the client disconnected before its answer was complete."""
    tokens_sent: int = 0
    sent_at: list[float] = field(default_factory=list)
    """The `time.monotonic` at which each token was written."""
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `hang_after` is reached."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Continue an answer that hangs."""
        self.released.set()

    async def wait_closed(self, within: float = 30.0) -> None:
        """Wait until the connection is done. Raises `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within):
            await self.closed.wait()

    async def wait_hanging(self, within: float = 30.0) -> None:
        """Wait until the answer has reached its `hang_after`. Raises `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within):
            await self.hanging.wait()

    def close(self) -> None:
        self.closed_at = time.monotonic()
        self.closed.set()


Script = Answer | Callable[[ModelRequest], Answer]


class OpenAIServer:
    """Serves `script`ed answers in order, then `default`, and records every request."""

    def __init__(
        self,
        default: Script = Answer("Hello from the fake model."),  # noqa: B008  a frozen value
        *,
        api_key: str | None = None,
        models: Sequence[str] = ("gpt-test",),
        rules: bool = True,
    ) -> None:
        """`api_key`: reject any other; `rules`: reject the histories that OpenAI rejects."""
        self.default = default
        self.requests: list[ModelRequest] = []
        self.recordings: list[Recording] = []
        self.transcripts: deque[str | Failure] = deque()
        """The texts of the next recordings; after those, recordings are silent."""
        self.opened = 0
        self.closed = 0
        self._transcribing = asyncio.Event()
        self._transcribing.set()
        self.checks = ProviderChecks()
        self._api_key = api_key
        self._models = models
        self._rules = rules
        self._sent_items = SentItems()
        self._queue: deque[Script] = deque()
        self._arrived = asyncio.Condition()
        self._runner = web.AppRunner(self._app(), handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        self._port = 0

    @property
    def base_url(self) -> str:
        """The `base_url` for an OpenAI client."""
        return f"http://127.0.0.1:{self._port}/v1"

    def script(self, *answers: Script) -> None:
        """Queue answers, one per request."""
        self._queue.extend(answers)

    def pause_recordings(self) -> None:
        """Accept recordings but do not respond until `release`."""
        self._transcribing.clear()

    def release(self) -> None:
        """Continue all answers that hang now."""
        self._transcribing.set()
        for request in self.requests:
            request.release()

    async def wait_for_request(self, number: int = 1, within: float = 30.0) -> ModelRequest:
        """Return the `number`th request, counted from 1. Raises `TimeoutError` if it does not arrive."""
        async with asyncio.timeout(within), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= number)
        return self.requests[number - 1]

    async def start(self, port: int = 0) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.release()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/responses", self._generate)
        app.router.add_post("/v1/chat/completions", self._generate)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        app.router.add_get("/v1/models", self._list_models)
        self.checks.add_to(app)
        return app

    async def _list_models(self, _: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "test"} for name in self._models]
        return web.json_response({"object": "list", "data": data})

    async def _transcribe(self, http: web.Request) -> web.Response:
        if self._is_wrong_key(http):
            return _failed(INVALID_API_KEY)
        recording = await read_recording(http)
        if isinstance(recording, Failure):
            return _failed(recording)
        self.recordings.append(recording)
        await self._transcribing.wait()
        transcript = self.transcripts.popleft() if self.transcripts else ""
        return _failed(transcript) if isinstance(transcript, Failure) else web.json_response({"text": transcript})

    async def _generate(self, http: web.Request) -> web.StreamResponse:
        request = ModelRequest(http.path, dict(http.headers.items()), json.loads(await http.read()))
        self.opened += 1
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        try:
            return await self._answer(http, request)
        except ClientConnectionResetError:  # before the first byte; aiohttp would log it as an error
            request.client_gone = True
            raise asyncio.CancelledError from None
        except (asyncio.CancelledError, ConnectionError):
            request.client_gone = True
            raise
        finally:
            self.closed += 1
            request.close()

    async def _answer(self, http: web.Request, request: ModelRequest) -> web.StreamResponse:
        answer = self._next_answer(http, request)
        await asyncio.sleep(answer.delay)
        if answer.fail:
            return _failed(answer.fail)
        wire: Wire = (ResponsesWire if http.path.endswith("/responses") else ChatWire)(answer, request.body)
        # Only where the rules need it: a long benchmark would use up memory.
        if any(isinstance(output, Reasoning) for output in answer.outputs()):
            self._sent_items.add(wire.output)
        if request.body.get("stream"):
            return await _Stream(http, request, answer, wire).play()
        return await _whole(http, request, answer, wire)

    def _is_wrong_key(self, http: web.Request) -> bool:
        return bool(self._api_key) and http.headers.get("authorization") != f"Bearer {self._api_key}"

    def _next_answer(self, http: web.Request, request: ModelRequest) -> Answer:
        if self._is_wrong_key(http):
            return Answer(fail=INVALID_API_KEY)
        failure = broken_rule(http.path, request.body, self._sent_items) if self._rules else None
        if failure:
            return Answer(fail=failure)
        script = self._queue.popleft() if self._queue else self.default
        return script if isinstance(script, Answer) else script(request)


def _failed(failure: Failure) -> web.Response:
    return web.json_response({"error": failure.error()}, status=failure.status, headers=failure.headers)


async def _whole(http: web.Request, request: ModelRequest, answer: Answer, wire: Wire) -> web.Response:
    """Return the answer without streaming; breaking in the middle means a reset connection or a status."""
    if answer.hang_after is not None:
        request.hanging.set()
        await request.released.wait()
    if answer.error_after is not None:
        if answer.error_as == "drop":
            _reset(http)
        return web.json_response({"error": answer.error.error()}, status=answer.error.status)
    return web.json_response(wire.body())


class _Stream:
    """Sends one answer as server-sent events."""

    def __init__(self, http: web.Request, request: ModelRequest, answer: Answer, wire: Wire) -> None:
        self._http = http
        self._request = request
        self._answer = answer
        self._wire = wire
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
        if answer.connection_close:
            headers["connection"] = "close"
        self._response = web.StreamResponse(headers=headers)

    async def play(self) -> web.StreamResponse:
        await self._response.prepare(self._http)
        if self._answer.rate is None:
            breaks = await self._at_full_speed()
        else:
            breaks = await self._paced(self._answer.rate)
        if breaks:
            await self._break()
        await self._response.write_eof()
        return self._response

    async def _at_full_speed(self) -> bool:
        """Send several events per write. Returns True if the stream is to break now."""
        batch: list[bytes] = []
        size = 0
        for event, stop in self._events():
            if stop or size > BATCH_BYTES:
                await self._write(b"".join(batch))
                batch.clear()
                size = 0
                if stop == "break":
                    return True
                if stop == "hang":
                    await self._hang()
                await asyncio.sleep(0)
            batch.append(event)
            size += len(event)
        await self._write(b"".join(batch))
        return False

    async def _paced(self, rate: float) -> bool:
        """Send one token per write, each when it is due. Returns True if the stream is to break now."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for event, stop in self._events():
            if stop == "break":
                return True
            if stop == "hang":
                await self._hang()
                start = loop.time() - self._request.tokens_sent / rate
            if (wait := start + self._request.tokens_sent / rate - loop.time()) > 0:
                await asyncio.sleep(wait)
            await self._write(event)
        return False

    def _events(self) -> Iterator[tuple[bytes, str]]:
        """Yield each event with what to do before sending it: nothing, "hang" or "break"."""
        answer, request = self._answer, self._request
        hang_after, error_after = answer.hang_after, answer.error_after
        for event, is_token in _until_end(self._wire.steps()):
            stop = ""
            if is_token or not event:
                if hang_after is not None and (request.tokens_sent == hang_after or not event):
                    hang_after, stop = None, "hang"
                elif error_after is not None and (request.tokens_sent == error_after or not event):
                    stop = "break"
            yield event, stop
            if is_token:
                request.tokens_sent += 1
                request.sent_at.append(time.monotonic())

    async def _hang(self) -> None:
        self._request.hanging.set()
        await self._request.released.wait()

    async def _break(self) -> None:
        if self._answer.error_as == "drop":
            _reset(self._http)
        await self._write(self._wire.breaking(self._answer.error, self._answer.error_as))

    async def _write(self, data: bytes) -> None:
        if data:
            await self._response.write(data)


def _until_end(steps: Iterator[Step]) -> Iterator[Step]:
    """Insert an empty step after the last token, where a stream that has run out of tokens hangs or breaks."""
    pending: list[Step] = []
    for step in steps:
        if step[1]:
            yield from pending
            pending = []
            yield step
        else:
            pending.append(step)
    yield b"", False
    yield from pending


def _reset(http: web.Request) -> None:
    """Reset the TCP connection, so that the client sees an error and not an end."""
    if http.transport is not None:
        http.transport.abort()
    raise ConnectionResetError("dropped by the script")


def bench_tokens(count: int) -> Sequence[str]:
    """Return the tokens of a benchmark's answer: plain words, with some quotes, line ends and non-ASCII characters."""
    return [WORDS[n % len(WORDS)] for n in range(count)]


def answer_as_asked(default: Answer, tokens: int) -> Callable[[ModelRequest], Answer]:
    """Return a script that takes `tokens=`, `rate=` and `hang=` from the last user message."""
    texts: dict[int, Text] = {}

    def answer(request: ModelRequest) -> Answer:
        items = request.body.get("input") or request.body.get("messages")
        options = dict(re.findall(r"(tokens|rate|hang)=([\d.]+)", _last_text(items)))
        count = int(options.get("tokens", tokens))
        text = texts.setdefault(count, Text("", tokens=bench_tokens(count)))
        rate = float(options["rate"]) if "rate" in options else default.rate
        return replace(default, text=text, rate=rate, hang_after=int(options["hang"]) if "hang" in options else None)

    return answer


def _last_text(items: Any) -> str:
    last = items if isinstance(items, str) else next((i for i in reversed(items) if i.get("role") == "user"), "")
    return json.dumps(last)


async def _serve(options: argparse.Namespace) -> None:
    server = OpenAIServer(answer_as_asked(Answer(rate=options.rate), options.tokens), models=["gpt-bench"])
    await server.start(options.port)
    print(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"), flush=True)  # noqa: T201  the caller reads the port
    while True:
        await asyncio.sleep(1)
        server.requests.clear()  # a long benchmark would use up memory


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake OpenAI endpoint; its first line of output is its port.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=200, help="tokens of an answer whose request sets no number")
    parser.add_argument("--rate", type=float, default=None, help="tokens per second; full speed if not given")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
