"""Send attempts, and keep all that their sender can see of the response."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.hostile import operations, routes
from tests.hostile.house import Headers, House, Ids, recorded
from tests.hostile.routes import Attempt
from tests.routes.asgi import Answer
from tests.support.chatkit import STREAMING, Json


@dataclass(frozen=True)
class Seen:
    """What the sender of a request sees, and the statements that it caused."""

    answer: Answer
    statements: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether it is an error with a code, or a stream with nothing but an error."""
        if self.answer.status == 200:
            events = [line for line in self.answer.body.split(b"\n") if line.startswith(b"data: ")]
            return len(events) == 1 and json.loads(events[0][6:])["type"] == "error"
        return 400 <= self.answer.status < 500 and b'"code":' in self.answer.body


@dataclass(frozen=True)
class Try:
    """A request of any kind, and a name for it."""

    name: str
    request: Attempt | tuple[str, Json]
    is_frame: bool = False

    async def send(self, house: House, headers: Headers) -> Seen:
        """Send it with the credentials in `headers`."""
        with recorded() as statements:
            answer = await self.answer(house, headers)
        return Seen(answer, tuple(statements.texts))

    async def answer(self, house: House, headers: Headers) -> Answer:
        """Send it, without recording the statements: many may run at once."""
        if isinstance(self.request, tuple):
            return await house.operation(*self.request, headers, is_frame=self.is_frame)
        return await _send_attempt(house, self.name.partition(" ")[0], self.request, headers)


async def _send_attempt(house: House, method: str, attempt: Attempt, headers: Headers) -> Answer:
    headers = dict(attempt.headers) | dict(headers)
    if method != "WEBSOCKET":
        return await house.send(method, attempt.path, attempt.body, headers, attempt.query)
    sent = await house.socket(list(attempt.frames), headers)
    if sent[0]["type"] == "websocket.http.response.start":
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], list(sent[0]["headers"]), body)
    assert sent[0]["type"] == "websocket.accept"
    frames = [json.loads(message["text"]) for message in sent if message["type"] == "websocket.send"]
    errors = [frame for frame in frames if frame["type"] == "error"]
    status = 404 if errors and len(errors) == len(frames) else 200
    if errors and errors[0]["error"]["code"] == "not_authenticated":
        assert sent[-1]["type"] == "websocket.close"
        status = 401
    return Answer(status, list(sent[0]["headers"]), json.dumps(frames).replace('"code": ', '"code":').encode())


def tries_with(ids: Ids, own: Ids) -> Iterator[Try]:
    """Yield every attempt on what belongs to others: operations as a frame and as another client, and routes."""
    for operation, all_params in operations.attempts_with(ids, own).items():
        for params in all_params:
            for is_frame in (False, True):
                yield Try(operation, (operation, params), is_frame)
    for route, attempts in routes.attempts_with(ids, own).items():
        for attempt in attempts:
            yield Try(route, attempt)


def tries_naming_nothing() -> Iterator[Try]:
    """Yield every request that needs no more than a login."""
    for operation, params in operations.NAMES_NOTHING.items():
        for is_frame in (False, True):
            yield Try(operation, (operation, params), is_frame)
    for route, attempt in routes.NAMES_NOTHING.items():
        yield Try(route, attempt)


def refusal_status(attempt: Try) -> int:
    """Return the status of a refusal for want of a login: a ChatKit frame gets a stream."""
    return 200 if attempt.is_frame and attempt.name in STREAMING else 401
