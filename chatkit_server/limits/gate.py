"""Every limit of a user's turns: what is checked before the database, and what the database checks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from chatkit_store import LimitReached as StoreLimitReached
from chatkit_store import TurnLimits, TurnStore

from ..context import RequestContext
from ..errors.http import LimitReached, ServerBusy
from ..settings import Settings
from .refusals import Refusals
from .tenant_tokens import TenantTokens
from .user_limits import UserLimits


class Gate:
    """Refuses turns beyond the limits."""

    def __init__(self, settings: Settings, turns: TurnStore) -> None:
        self._limits = UserLimits(settings)
        self._tenants = TenantTokens(turns, settings.tokens_per_day_per_tenant)
        self._refusals = Refusals()
        self._starting: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    def limits_of(self, context: RequestContext) -> TurnLimits:
        """Return the limits for the transaction that starts a turn."""
        return self._limits.of_turns(context)

    async def check(self, context: RequestContext, thread_id: str | None) -> None:
        """Raise `LimitReached` if it is already known that the request must be refused, perhaps after a delay.

        `thread_id` is None for a new thread.
        """
        await self._refusals.check(context, thread_id)
        try:
            await self._tenants.check(context.tenant)
        except StoreLimitReached as reached:
            raise await self.refusal(reached, context, thread_id) from None

    async def refusal(self, reached: StoreLimitReached, context: RequestContext, thread_id: str | None) -> LimitReached:
        """Return the error for a limit that the store has found reached, perhaps after a delay."""
        return await self._refusals.refusal(reached, context, thread_id)

    @asynccontextmanager
    async def one_at_a_time(self, context: RequestContext, limits: TurnLimits, seconds: float) -> AsyncIterator[None]:
        """Start no other turn that the same limits count inside the block.

        The database starts them one after the other anyway, and each that waits there has a connection that other users
        need. Raises `ServerBusy` after that many seconds.
        """
        if not limits.is_used:
            yield
            return
        is_by_address = limits.turns_per_minute_of_address is not None and context.address_key is not None
        subject = (context.address_key or "",) if is_by_address else context.owner
        lock = self._starting.setdefault(tuple(subject), asyncio.Lock())
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError:
            raise ServerBusy from None
        try:
            yield
        finally:
            lock.release()

    def check_again(self, context: RequestContext, thread_id: str | None) -> None:
        """Raise the store's `LimitReached` if that has become known while the request waited."""
        self._refusals.check_again(context, thread_id)
