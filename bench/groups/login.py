"""Measure the door: the time and the queries that it takes to say who sends a request, for each login mode.

The calls run in this process, without HTTP: a request costs so much more than its login that the difference would be
noise. The stock server has no login.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine, event
from starlette.requests import HTTPConnection
from starlette.responses import Response

from bench.rows import Row, Samples
from bench.suite import Bench
from chatkit_server import create_app
from chatkit_server.auth.header_login import NAMES_USERS
from chatkit_server.auth.session_issuer import NewSession
from chatkit_server.auth.session_terms import Configuration, Workflow
from chatkit_server.services import Services
from chatkit_store import Owner, new_id
from tests.auth.issuer import http_issuer
from tests.auth.tokens import AUDIENCE, ISSUER, TokenIssuer
from tests.databases import copy_sqlite
from tests.serving import DATABASE, make_settings

CALLS = 1000
"""Calls of a sample."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Mode:
    """A way to log in: its settings, and the credentials of so many requests."""

    name: str
    settings: dict[str, Any]
    credentials: Callable[[Services, int], Awaitable[Sequence[Headers]]]


@asynccontextmanager
async def _modes() -> AsyncIterator[Sequence[Mode]]:
    signer = TokenIssuer()
    async with http_issuer(signer) as issuer:
        jwt = {"auth": "jwt", "jwt_jwks_url": issuer.jwks_url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}

        async def same_token(services: Services, count: int) -> Sequence[Headers]:
            return [_bearer(signer.token())] * count

        async def new_tokens(services: Services, count: int) -> Sequence[Headers]:
            return await asyncio.to_thread(lambda: [_bearer(signer.token(jti=new_id("t"))) for _ in range(count)])

        yield [
            Mode("none", {"auth": "none"}, _cookie),
            Mode("jwt", jwt, same_token),
            Mode("jwt, a new token each time", jwt, new_tokens),
            Mode("session", {"auth": "session"}, _client_secret),
            Mode("header", {"auth": "header", "trusted_proxies": "unix"}, _header),
        ]


async def login(bench: Bench) -> list[Row]:
    """Measure what it costs to say who sends a request, by login mode."""
    micros, queries = await _doors(bench.folder, bench.plan.rounds)
    return [
        Row("login", "Login: who sends a request, by mode", "CPU µs per request", micros),
        Row("login_queries", "Login, by mode", "queries per request", queries),
    ]


async def _doors(folder: Path, rounds: int) -> tuple[Samples, Samples]:
    """Return the CPU µs and the queries of a request, by login mode."""
    micros: Samples = {}
    queries: Samples = {}
    async with _modes() as modes:
        for number, mode in enumerate(modes):
            place = folder / f"login-{number}"
            place.mkdir()
            copy_sqlite(place / DATABASE)
            app = create_app(make_settings(place, **mode.settings))
            async with app.router.lifespan_context(app):
                samples = [await _sample(app, mode) for _ in range(rounds + 1)]
            micros[mode.name] = [sample[0] for sample in samples[1:]]  # the first is a warm-up
            queries[mode.name] = [sample[1] for sample in samples[1:]]
    return micros, queries


async def _sample(app: FastAPI, mode: Mode) -> tuple[float, float]:
    services: Services = app.state.services
    credentials = await mode.credentials(services, CALLS)
    requests = [_request(app, headers) for headers in credentials]
    await services.door.authenticate(_request(app, credentials[0]))
    with _counted() as statements:
        before = time.process_time()
        for request in requests:
            await services.door.authenticate(request)
        seconds = time.process_time() - before
    return seconds / CALLS * 1e6, len(statements) / CALLS


def _request(app: FastAPI, headers: Headers) -> HTTPConnection:
    state = {"request_id": "req_bench", NAMES_USERS: True}  # as the middleware says of a trusted proxy's request
    return HTTPConnection({"type": "http", "app": app, "headers": headers, "state": state, "scheme": "http"})


def _bearer(token: str) -> Headers:
    return [(b"authorization", f"Bearer {token}".encode())]


async def _client_secret(services: Services, count: int) -> Sequence[Headers]:
    new = NewSession(Owner("", "alice"), Workflow(id="default"), Configuration(), requests_per_minute=10)
    issued = await services.session_issuer.create(new)
    return [_bearer(issued.secret)] * count


async def _header(services: Services, count: int) -> Sequence[Headers]:
    return [[(services.settings.header_user.encode(), b"alice")]] * count


async def _cookie(services: Services, count: int) -> Sequence[Headers]:
    request = HTTPConnection({"type": "http", "headers": [], "state": {"request_id": "req_bench"}, "scheme": "http"})
    response = Response()
    services.door.remember(request, response, await services.door.authenticate(request))
    cookie = response.headers["set-cookie"].partition(";")[0]
    return [[(b"cookie", cookie.encode())]] * count


@contextmanager
def _counted() -> Iterator[list[None]]:
    """Yield a list that gets an entry for each statement of any connection."""
    statements: list[None] = []

    def count(*_: object) -> None:
        statements.append(None)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", count)
