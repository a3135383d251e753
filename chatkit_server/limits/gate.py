"""Every limit of a user's turns: what is checked before the database, and what the database checks."""

from chatkit_store import LimitReached as StoreLimitReached
from chatkit_store import TurnLimits, TurnStore

from ..context import RequestContext
from ..errors.http import LimitReached
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
