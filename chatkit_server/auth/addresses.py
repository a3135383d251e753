"""Under which key a client's address is counted: a hash with the server's secret, so that no row has an address."""

import hashlib
import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from starlette.requests import HTTPConnection

KEPT_ADDRESSES = 4096
"""Of how many addresses the key is remembered: a client sends many requests."""
IPV6_NETWORK = 64
"""The bits of an IPv6 address that a visitor cannot choose."""


class Addresses:
    """Counts the addresses of clients under keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are the signing keys; the last one signs."""
        self._key = hashlib.blake2b(keys[-1].encode(), person=b"address").digest()
        self._key_of = lru_cache(KEPT_ADDRESSES)(self._hash_of)

    def key_of(self, request: HTTPConnection) -> str | None:
        """Return the key of the client's address; None for a client without one, such as at a Unix socket."""
        client = request.scope.get("client")
        return None if client is None else self._key_of(client[0])

    def _hash_of(self, host: str) -> str | None:
        network = _network(host)
        return None if network is None else hashlib.blake2b(network.encode(), key=self._key, digest_size=12).hexdigest()


def _network(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK), strict=False))
