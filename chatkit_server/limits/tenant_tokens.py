"""The tokens that the users of a tenant have used today, as this worker knows them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

from chatkit_store import LimitReached, TurnStore
from chatkit_store.limits import midnight

COUNTED_SECONDS = 5.0
"""How long a count is used. Summing up a day of a large tenant for each request would cost more than it is worth: the
tokens of running turns are not known either."""


class TenantTokens:
    """Sums up the tokens of each tenant every few seconds, at most."""

    def __init__(self, turns: TurnStore, limit: int | None) -> None:
        self._turns = turns
        self._limit = limit
        self._counted: dict[tuple[str, datetime], tuple[float, int]] = {}  # by tenant and the day's start
        self._counting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def check(self, tenant: str) -> None:
        """Raise the store's `LimitReached` if the tenant has used up its tokens. Nobody is the empty tenant."""
        if self._limit is None or not tenant:
            return
        day = midnight(datetime.now(UTC))
        if await self._tokens(tenant, day) >= self._limit:
            raise LimitReached("tokens_per_day_per_tenant", self._limit, day + timedelta(days=1))

    async def _tokens(self, tenant: str, day: datetime) -> int:
        # One question of a tenant at a time: its next request finds the answer. Other tenants do not wait for it.
        async with self._counting.setdefault(tenant, asyncio.Lock()):
            now = time.monotonic()
            at, tokens = self._counted.get((tenant, day), (-COUNTED_SECONDS, 0))
            if now - at >= COUNTED_SECONDS or (tenant, day) not in self._counted:
                tokens = await self._turns.tenant_tokens(tenant, day)
                self._counted = {key: count for key, count in self._counted.items() if now - count[0] < COUNTED_SECONDS}
                self._counted[tenant, day] = (time.monotonic(), tokens)
            return tokens
