"""The tokens that the users of a tenant have used today, as this worker knows them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

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
        self._counted: dict[str, tuple[float, int]] = {}
        self._counting = asyncio.Lock()

    async def check(self, tenant: str) -> None:
        """Raise the store's `LimitReached` if the tenant has used up its tokens. Nobody is the empty tenant."""
        if self._limit is None or not tenant:
            return
        now = datetime.now(UTC)
        if await self._tokens(tenant, midnight(now)) >= self._limit:
            raise LimitReached("tokens_per_day_per_tenant", self._limit, midnight(now) + timedelta(days=1))

    async def _tokens(self, tenant: str, since: datetime) -> int:
        async with self._counting:  # one question at a time: the next request finds its answer
            now = time.monotonic()
            at, tokens = self._counted.get(tenant, (-COUNTED_SECONDS, 0))
            if now - at >= COUNTED_SECONDS or tenant not in self._counted:
                tokens = await self._turns.tenant_tokens(tenant, since)
                self._counted = {
                    name: count for name, count in self._counted.items() if now - count[0] < COUNTED_SECONDS
                }
                self._counted[tenant] = (time.monotonic(), tokens)
            return tokens
