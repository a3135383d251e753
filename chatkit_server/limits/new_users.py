"""How many new anonymous users a worker accepts, so that none of the addresses takes all of them."""

from ..errors.http import TooManyRequests
from .rate import Rate

SHARE = 0.1
"""The part of the limit that one address has for itself."""
ADDRESSES = 10_000
"""How many addresses are remembered."""


class NewUsers:
    """Counts new users: as many as the limit at once, and then at its rate.

    One half is for whoever comes first. The other is for addresses that have had less than their share, so that a flood
    from one address leaves it to the others.
    """

    def __init__(self, per_minute: int) -> None:
        self._all = Rate(per_minute, per_minute / 60)
        self._half = per_minute / 2
        self._share = max(per_minute * SHARE, 1)
        self._of_addresses: dict[str, Rate] = {}  # least recently seen first

    def add(self, address_key: str | None) -> None:
        """Count one; None stands for an unknown address. Raises `TooManyRequests` beyond the limit."""
        has_share = address_key is None or self._rate_of(address_key).take()
        if not (has_share or self._all.left() > self._half) or not self._all.take():
            raise TooManyRequests

    def _rate_of(self, address_key: str) -> Rate:
        rate = self._of_addresses.pop(address_key, None) or Rate(self._share, self._share / 60)
        self._of_addresses[address_key] = rate
        if len(self._of_addresses) > ADDRESSES:
            del self._of_addresses[next(iter(self._of_addresses))]
        return rate
