"""The headers of a direct request are those of Starlette's request."""

import pytest
from starlette.requests import Request
from starlette.types import Message, Scope

from chatkit_server.routes.direct_request import DirectRequest

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

    scope: Scope = {"type": "http", "headers": list(RAW)}
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
