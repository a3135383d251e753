"""Who is at the other end of a connection: the client, or a proxy that speaks for one.

A proxy that is trusted says from which address a request came to it (`X-Forwarded-For`), over which scheme
(`X-Forwarded-Proto`), and perhaps for which user. Anybody can send such headers, so those of anybody else are ignored,
and headers that name a user are removed before anything can read them.

RFC 7239's `Forwarded` is not read: common proxies pass on what the client sent in it.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Literal

from starlette.types import Scope

from ..auth.header_login import IGNORED, NAMES_USERS, SECRET_HEADER, login_headers
from ..settings import Settings

Peer = ipaddress.IPv4Address | ipaddress.IPv6Address | Literal["unix"]

SCHEMES = {b"http": ("http", "ws"), b"https": ("https", "wss"), b"ws": ("http", "ws"), b"wss": ("https", "wss")}
"""What a proxy may say, and what that means for a request and for a WebSocket."""
FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
MAX_HOPS = 20
"""How many proxies in a row are looked at."""
ADDRESS_LENGTH = 100


class TrustedProxies:
    """Believes what trusted proxies say, before anything looks at the client or the scheme."""

    def __init__(self, settings: Settings) -> None:
        self._trusts_unix = "unix" in settings.trusted_proxies
        self._networks = [ipaddress.ip_network(entry) for entry in settings.trusted_proxies if entry != "unix"]
        self._is_listed = bool(settings.trusted_proxies)
        self._secrets = [secret.get_secret_value().encode() for secret in settings.header_secret]
        self._secret_name = SECRET_HEADER.encode()
        self._user_name = settings.header_user.encode()
        self._login_names = frozenset(name.encode() for name in login_headers(settings))
        self._said_by_proxies = self._login_names | {FORWARDED_FOR, FORWARDED_PROTO}

    def described(self, scope: Scope) -> Scope:
        """Return a request or WebSocket as its trusted proxies describe it, without what nobody may say."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        client = scope.get("client")
        peer = _peer(client[0]) if client else "unix"
        is_listed = self._is_listed and self._is_trusted(peer)
        has_secret = bool(self._secrets) and self._has_secret(headers)
        state = scope.setdefault("state", {})
        # A secret that is set is needed: its administrator does not want to rely on addresses.
        names_users = has_secret if self._secrets else is_listed
        state[NAMES_USERS] = names_users
        if self._said_by_proxies.isdisjoint([name for name, _ in headers]):
            return scope
        unwanted = frozenset({self._secret_name}) if names_users else self._login_names
        if any(name in unwanted for name, _ in headers):
            if not names_users and any(name == self._user_name for name, _ in headers):
                state[IGNORED] = self._why_ignored(client)
            scope = {**scope, "headers": [header for header in headers if header[0] not in unwanted]}
        if has_secret or self._is_trusted(peer):
            scope = self._described(scope, headers)
        return scope

    def _described(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> Scope:
        """Return the request with the address and the scheme that the proxy states."""
        entries = [entry for name, value in headers if name == FORWARDED_FOR for entry in value.split(b",")[-MAX_HOPS:]]
        protos = [value for name, value in headers if name == FORWARDED_PROTO]
        changes: dict[str, object] = {}
        for entry in reversed(entries[-MAX_HOPS:]):
            host, port = _host_and_port(entry.decode("latin-1").strip())
            if len(host) > ADDRESS_LENGTH or (hop := _peer(host)) is None:
                break  # the proxy does not know the address: its own is the nearest known
            changes["client"] = None if hop == "unix" else (str(hop), port)
            if not self._is_trusted(hop):
                break
        if protos and (schemes := SCHEMES.get(protos[-1].rpartition(b",")[2].strip().lower())):
            changes["scheme"] = schemes[scope["type"] == "websocket"]
        return {**scope, **changes} if changes else scope

    def _is_trusted(self, peer: Peer | None) -> bool:
        """Return whether an address is that of a trusted proxy: of a listed one, or by default on this machine."""
        if peer is None:
            return False
        if peer == "unix":
            return self._trusts_unix or not self._is_listed
        return any(peer in network for network in self._networks) if self._is_listed else _is_loopback(peer)

    def _has_secret(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == self._secret_name]
        if len(values) != 1:  # a proxy that adds its header to the client's does not protect it
            return False
        return any(compare_digest(values[0], secret) for secret in self._secrets)

    def _why_ignored(self, client: tuple[str, int] | None) -> str:
        if self._secrets:
            return f"the request has no valid {SECRET_HEADER}"
        return f"{client[0] if client else 'a Unix socket'} is not in CHATKIT_TRUSTED_PROXIES"


@lru_cache(4096)
def _peer(host: str) -> Peer | None:
    """Return an address, or None if it is none. IPv4 within IPv6 is IPv4, as in the settings."""
    if host in ("unix", "unix:"):  # the latter is what nginx writes
        return "unix"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(4096)
def _is_loopback(peer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return peer.is_loopback


def _host_and_port(entry: str) -> tuple[str, int]:
    """Split an entry of `X-Forwarded-For`: an address, perhaps with a port, and brackets around IPv6."""
    host, port = entry, ""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1 and not entry.startswith("unix"):
        host, _, port = entry.partition(":")
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
