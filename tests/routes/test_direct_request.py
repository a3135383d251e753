"""The headers of a direct request are those of Starlette's request, and its body is read as by Starlette."""

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Scope

from chatkit_server.errors.http import BodyTooLarge
from chatkit_server.routes.body import is_unread, read_body
from chatkit_server.routes.direct_request import DirectRequest, IndexedHeaders

RAW = [
    (b"accept", b"text/event-stream"),
    (b"cookie", b"a=1"),
    (b"x-name", b"first"),
    (b"x-name", b"second"),
    (b"cookie", b"b=2"),
    (b"x-latin", "ü".encode("latin-1")),
]


@pytest.mark.parametrize("name", ["accept", "Accept", "x-name", "x-latin", "missing", ""])
def test_a_header_is_found_as_by_starlette(name: str) -> None:
    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": "http", "headers": tuple(RAW)}
    direct, usual = DirectRequest(scope, receive, send), Request(dict(scope))
    assert direct.headers.get(name) == usual.headers.get(name)
    assert direct.headers.get(name, "default") == usual.headers.get(name, "default")
    assert (name in direct.headers) == (name in usual.headers)
    assert direct.headers.getlist(name) == usual.headers.getlist(name)
    assert [*direct.headers.items()] == [*usual.headers.items()]
    assert direct.headers == usual.headers
    assert direct.cookies == usual.cookies == {"a": "1", "b": "2"}
    if name in usual.headers:
        assert direct.headers[name] == usual.headers[name]
    else:
        with pytest.raises(KeyError):
            direct.headers[name]


def test_headers_are_indexed_once_and_again_when_they_are_replaced() -> None:
    scope: Scope = {"type": "http", "headers": list(RAW)}
    first = IndexedHeaders.of(scope)
    assert IndexedHeaders.of(dict(scope)) is first
    assert IndexedHeaders.of({**scope, "headers": [(b"x-name", b"other")]}).get("x-name") == "other"


@pytest.mark.parametrize("is_read_before", [True, False])
async def test_a_body_is_read_once_by_whoever_comes_first(is_read_before: bool) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError

    request = DirectRequest({"type": "http", "headers": []}, receive, send)
    assert is_unread(request)
    if is_read_before:  # as by a login
        assert await request.body() == b"one two"
        assert not is_unread(request)
    assert await read_body(request, 7) == b"one two"
    assert not is_unread(request)
    assert await request.body() == b"one two"
    assert b"".join([piece async for piece in request.stream()]) == b"one two"


@pytest.mark.parametrize(
    ("message", "error"),
    [({"type": "http.disconnect"}, ClientDisconnect), ({"type": "http.request", "body": b"12345678"}, BodyTooLarge)],
)
async def test_a_body_that_does_not_arrive_or_is_too_large_is_refused(message: Message, error: type[Exception]) -> None:
    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        raise AssertionError

    with pytest.raises(error):
        await read_body(DirectRequest({"type": "http", "headers": []}, receive, send), 7)
