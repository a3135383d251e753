"""The browser that `doctor --url` pretends to be."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ...errors.network import innermost_network_error, network_reason

SECONDS = 10.0
"""How long a request may take."""
LONGEST_BODY = 1_000_000
IMPATIENT_SECONDS = 1.0
"""How long to wait for the answer to a request whose body is never sent."""


class Unreachable(Exception):
    """No answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name; several values of one name are joined with commas, as browsers do."""
    cookies: list[str]
    """The values of `Set-Cookie`."""
    body: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def code(self) -> str | None:
        """The code of an error of this server; None for another answer, such as an error of the proxy."""
        code = self.json.get("code")
        return code if isinstance(code, str) and "request_id" in self.json else None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event of a stream, and when it arrived."""

    at: float
    data: dict[str, Any]


class Browser:
    """Sends requests to the server at `url`, as a page there would; keeps no cookies and follows no redirects."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._session = session
        parts = urlsplit(self.url)
        self.scheme, self.host, self.port = parts.scheme.lower(), parts.hostname or "", parts.port
        self.origin = f"{self.scheme}://{parts.netloc}"

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET. Raises `Unreachable`."""
        return await self.request("GET", self.url + path, headers)

    async def request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a request. Raises `Unreachable`."""
        with _reasons():
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
                body = await response.content.read(LONGEST_BODY)
                return _answer(response, body.decode("utf-8", "replace"))

    async def events(self, path: str) -> tuple[Answer, list[Arrival]]:
        """Return the answer to the GET of a stream, and its events. Raises `Unreachable`."""
        arrivals = []
        with _reasons():
            async with self._session.get(
                self.url + path, headers={"accept": "text/event-stream"}, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return _answer(response, await response.text(errors="replace")), []
                async for line in response.content:
                    if line.startswith(b"data: "):
                        arrivals.append(Arrival(monotonic(), _json(line[6:])))
                return _answer(response), arrivals

    async def announce_upload(self, path: str, size: int) -> tuple[int, str] | None:
        """Return status and head of the answer to a PUT of which only the head is sent; None if the body is awaited."""
        is_https = self.scheme == "https"
        try:
            async with asyncio.timeout(IMPATIENT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self.host, self.port or (443 if is_https else 80), ssl=is_https or None
                )
                try:
                    head = f"PUT {urlsplit(self.url + path).path} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n"
                    writer.write(f"{head}Content-Length: {size}\r\nOrigin: {self.origin}\r\n\r\n".encode())
                    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                finally:
                    writer.transport.abort()
            return int(answer.split(maxsplit=2)[1]), answer
        except (OSError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError):
            return None

    async def upgrade(self, path: str) -> Answer:
        """Return the answer to the handshake of a WebSocket, which is closed at once. Raises `Unreachable`."""
        key = {"sec-websocket-key": "Y2hhdGtpdC1zZXJ2ZXItZA==", "sec-websocket-version": "13"}
        headers = {"connection": "Upgrade", "upgrade": "websocket", "origin": self.origin, **key}
        with _reasons():
            async with self._session.get(self.url + path, headers=headers, allow_redirects=False) as response:
                body = "" if response.status == 101 else await response.text(errors="replace")
                return _answer(response, body)

    def plain_url(self, port: int) -> str:
        """Return the address of this host without TLS."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/"


@asynccontextmanager
async def open_browser(url: str) -> AsyncIterator[Browser]:
    """Yield a browser for the server at `url`."""
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=SECONDS),
        headers={"user-agent": "Mozilla/5.0 (chatkit-server doctor)"},
    ) as session:
        yield Browser(url, session)


def _answer(response: aiohttp.ClientResponse, body: str = "") -> Answer:
    names = {name.lower() for name in response.headers}
    headers = {name: ", ".join(response.headers.getall(name)) for name in names}
    return Answer(response.status, headers, response.headers.getall("set-cookie", []), body)


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        network = innermost_network_error(error)
        raise Unreachable(network_reason(network) if network is not None else type(error).__name__) from error
