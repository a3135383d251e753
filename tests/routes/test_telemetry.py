"""Whether FastAPI's telemetry is on is asked now and then."""

import pytest
from fastapi import FastAPI

from chatkit_server.routes import telemetry
from chatkit_server.routes.telemetry import ASK_SECONDS, ask_seldom
from tests.routes.asgi import call


async def test_telemetry_that_is_off_is_asked_for_once_a_second_and_what_is_on_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, now, is_on, asked = FastAPI(), [100.0], [False], [0]

    def enabled() -> bool:
        asked[0] += 1
        return is_on[0]

    monkeypatch.setattr(telemetry, "monotonic", lambda: now[0])
    monkeypatch.setattr(app._native_telemetry, "enabled", enabled)
    assert ask_seldom(app)
    for _ in range(3):
        await call(app, "GET", "/")
    assert asked == [1]
    is_on[0] = True
    now[0] += ASK_SECONDS
    for _ in range(3):
        await call(app, "GET", "/")
    assert asked == [4]


def test_an_app_without_these_names_asks_as_it_does() -> None:
    app = FastAPI()
    del app._native_telemetry
    assert not ask_seldom(app)
