"""A wrong method is answered in one way, whichever part of the server has the address."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from chatkit_server import create_app
from tests.routes.asgi import call
from tests.serving import make_settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(make_settings(Path(tmp_path_factory.mktemp("app"))))


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/chatkit", "POST"),
        ("OPTIONS", "/chatkit", "POST"),
        ("TRACE", "/chatkit", "POST"),
        ("GET", "/api/message", "POST"),
        ("GET", "/api/turns/turn_1/stop", "POST"),
        ("DELETE", "/api/turns/turn_1", "GET"),
        ("HEAD", "/api/chatkit/options", "GET"),
        ("PATCH", "/api/attachments/atc_1/content", "GET, POST, PUT"),
        ("POST", "/api/stream/ws", "GET"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("BREW", "/healthz", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/assets/index.js", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(app: FastAPI, method: str, path: str, allow: str) -> None:
    answer = await call(app, method, path)
    assert (answer.status, answer.header("allow")) == (405, allow)
    assert b'"code":"method_not_allowed"' in answer.body
    assert answer.header("cache-control") == "private, no-store"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/api/nothing", "/v1/nothing", "/api/turns/turn_1/nothing"])
async def test_where_nothing_is_no_method_is_wrong(app: FastAPI, method: str, path: str) -> None:
    answer = await call(app, method, path)
    assert (answer.status, answer.header("allow")) == (404, "")
