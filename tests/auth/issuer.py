"""An issuer on a real socket: JWKS and OpenID Connect discovery."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.auth.tokens import TokenIssuer

JWKS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class HttpIssuer:
    """What the issuer answers; a test changes it."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    status: int = 200
    body: bytes | None = None
    """Instead of the keys."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of the keys."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Clear, no answer comes."""
    discovery: dict[str, Any] = field(default_factory=dict)
    """Changes to the discovery document."""

    def __post_init__(self) -> None:
        self.gate.set()
        self._asked = asyncio.Condition()

    @property
    def jwks_url(self) -> str:
        """Where the keys are."""
        return self.url + JWKS

    def fetches(self) -> int:
        """Return how often the keys were asked for."""
        return self.requests.count(JWKS)

    async def wait_for_fetches(self, count: int) -> None:
        """Wait until the keys were asked for that often."""
        async with asyncio.timeout(20), self._asked:
            await self._asked.wait_for(lambda: self.fetches() >= count)

    async def _record(self, request: web.Request) -> None:
        async with self._asked:
            self.requests.append(request.path)
            self._asked.notify_all()

    async def _keys(self, request: web.Request) -> web.Response:
        await self._record(request)
        await self.gate.wait()
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        return web.Response(body=body, status=self.status, headers=self.headers, content_type="application/json")

    async def _discovery(self, request: web.Request) -> web.Response:
        await self._record(request)
        return web.json_response({"issuer": self.url, "jwks_uri": self.jwks_url} | self.discovery)

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[None]:
        """Answer inside the block, at a new address or at that port."""
        app = web.Application()
        app.router.add_get(JWKS, self._keys)
        app.router.add_get(DISCOVERY, self._discovery)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def http_issuer(*signers: TokenIssuer) -> AsyncIterator[HttpIssuer]:
    """Yield a running issuer that publishes the keys of `signers`."""
    issuer = HttpIssuer(keys=[signer.jwk() for signer in signers])
    async with issuer.serving():
        yield issuer
