"""The keys that an issuer publishes: read when they are first needed, and again from time to time."""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import aiohttp

from ..errors.http import LoginUnavailable
from ..errors.network import innermost_network_error, network_reason
from ..loops import backoff
from .verification_keys import KeySet, UnusableKey, published_keys

logger = logging.getLogger(__name__)

DISCOVERY = "/.well-known/openid-configuration"
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_REDIRECTS = 3


class IssuerProblem(Exception):
    """Why the keys cannot be read. The message continues "the keys of …: "."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between two reads of the keys."""

    usual: float = 300.0
    """A key that the issuer withdraws is used for so long."""
    unknown_key: float = 10.0
    """At least, when a token names an unknown key: made-up names must not become requests to the issuer."""
    failed: float = 2.0
    """After a failure; it doubles up to `usual` without requests."""


class IssuerKeys:
    """The keys of one issuer. One read is under way at a time, in a task of its own that no request's end cancels."""

    def __init__(
        self, algorithms: Sequence[str], *, issuer: str | None, jwks_url: str | None, pauses: Pauses | None = None
    ) -> None:
        """Without `jwks_url`, the issuer's discovery document names it."""
        self._algorithms = algorithms
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._pauses = pauses or Pauses()
        self.known: KeySet | None = None
        """The keys as last read; None before they could be read."""
        self._published: object = None
        self._failure: str | None = None
        self._not_before = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._http: aiohttp.ClientSession | None = None

    async def current(self) -> KeySet:
        """Return the keys, perhaps old ones while the issuer is away. Raises `LoginUnavailable` if there are none."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="issuer's keys", context=Context())
        if self.known is None:
            await self._read_if_due()
        if self.known is None:
            raise LoginUnavailable
        return self.known

    async def newer(self) -> KeySet:
        """Return the keys for a token that names an unknown one: newly read, unless that was a moment ago.

        Raises `LoginUnavailable` if they cannot be read, because the key may be a new one.
        """
        await self._read_if_due()
        if self.known is None or self._failure is not None:
            raise LoginUnavailable
        return self.known

    async def problem(self) -> str | None:
        """Return why the keys cannot be read, or None."""
        await self._read()
        return None if self._failure is None else f"The keys of {self._name} cannot be read: {self._failure}."

    async def aclose(self) -> None:
        """End what is under way and close the connections."""
        tasks = [task for task in (self._refreshing, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._refreshing = None
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def _name(self) -> str:
        """Where the keys are, without what could be a password."""
        address = urlsplit(self._jwks_url or f"{self._issuer}")
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"

    async def _refresh(self) -> None:
        pauses = backoff(self._pauses.failed, self._pauses.usual)
        while True:
            await self._read()
            if self._failure is not None:
                await asyncio.sleep(next(pauses))
            else:
                pauses = backoff(self._pauses.failed, self._pauses.usual)
                await asyncio.sleep(self._pauses.usual)

    async def _read_if_due(self) -> None:
        """Read the keys for a request, or wait for the read under way; do nothing if the last was a moment ago."""
        if self._reading is not None or monotonic() >= self._not_before:
            await self._read()

    async def _read(self) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_once(), context=Context())
        await asyncio.shield(self._reading)

    async def _read_once(self) -> None:
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                self._keep(await self._fetch_keys())
        except Exception as error:  # whatever the issuer answers, the loop keeps running
            self._failed(_reason(error))
        finally:
            self._reading = None

    def _keep(self, published: object) -> None:
        # The same keys stay the same set, so that verified tokens stay verified.
        if self.known is None or published != self._published:
            keys, problems = published_keys(published, self._algorithms)
            if not keys.keys:
                raise IssuerProblem(
                    f"no key can verify a token (the key {'; the key '.join(problems) or 'is missing'})"
                )
            self.known, self._published = keys, published
            skipped = f"; not used: the key {', the key '.join(problems)}" if problems else ""
            logger.info("read the keys of %s: %d for tokens%s", self._name, len(keys.keys), skipped)
        elif self._failure is not None:
            logger.info("the keys of %s can be read again", self._name)
        self._failure = None
        self._not_before = monotonic() + self._pauses.unknown_key

    def _failed(self, reason: str) -> None:
        if self._failure is None:  # once, not with each attempt
            meanwhile = "nobody can log in" if self.known is None else "the keys read before stay in use"
            logger.warning("the keys of %s cannot be read: %s; %s", self._name, reason, meanwhile)
        self._failure = reason
        self._not_before = monotonic() + self._pauses.failed

    async def _fetch_keys(self) -> object:
        jwks_url = self._jwks_url
        if jwks_url is None:
            document = await self._fetch(f"{(self._issuer or '').rstrip('/')}{DISCOVERY}")
            if not isinstance(document, dict) or document.get("issuer") != self._issuer:
                raise IssuerProblem(
                    "its discovery document is that of another issuer; CHATKIT_JWT_ISSUER must be exact"
                )
            jwks_url = document.get("jwks_uri")
            if not isinstance(jwks_url, str) or not _is_allowed(jwks_url, self._issuer or ""):
                raise IssuerProblem("its discovery document has no usable jwks_uri")
        return await self._fetch(jwks_url)

    async def _fetch(self, url: str) -> object:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            self._http = aiohttp.ClientSession(timeout=timeout, trust_env=True, cookie_jar=aiohttp.DummyCookieJar())
        accept = {"accept": "application/json, application/jwk-set+json"}
        async with self._http.get(url, headers=accept, max_redirects=MAX_REDIRECTS) as response:
            hops = [*response.history, response]
            if not all(_is_allowed(str(hop.url), url) for hop in hops):
                raise IssuerProblem("it redirects from https to http")
            if response.status != 200:
                raise IssuerProblem(f"it answers with status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise IssuerProblem(f"they are larger than {MAX_BYTES // 1024} KiB")
        return json.loads(body)


def _is_allowed(url: str, origin: str) -> bool:
    """Return whether a URL that `origin` names may be read: never a step down from https."""
    return url.startswith("https://") or (url.startswith("http://") and not origin.startswith("https://"))


def _reason(error: Exception) -> str:
    """Return why a read failed, without addresses."""
    match error:
        case IssuerProblem():
            return str(error)
        case UnusableKey():
            return f"the key {error}"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():  # also a redirect to another scheme
            return "its address, or that of a redirect, is not http or https"
        case aiohttp.TooManyRedirects():
            return "it redirects too often"
        case TimeoutError():
            return "no answer in time"
        case ValueError() | RecursionError():
            return "they are not JSON"
        case aiohttp.ClientError() | OSError():
            network_error = innermost_network_error(error)
            return "the connection was lost" if network_error is None else network_reason(network_error)
    return f"unexpected {type(error).__name__}"
