"""Save the start of a turn, even if the database does not respond for a moment."""

from chatkit.store import NotFoundError

from chatkit_store import NewTurn, RequestKey, StoreUnavailable, TurnLimits, TurnStore

from ..context import RequestContext
from .accept import Accepted


class TurnStart:
    """Save the start of a turn. To be called again if the database did not respond."""

    def __init__(
        self,
        store: TurnStore,
        turn: NewTurn,
        accepted: Accepted,
        key: RequestKey | None,
        context: RequestContext,
        limits: TurnLimits,
    ) -> None:
        self._limits = limits
        self._store = store
        self._turn = turn
        self._accepted = accepted
        self._key = key
        self._context = context
        self.may_be_saved = False
        """Whether an attempt was made whose result is unknown."""

    async def __call__(self) -> list[str]:
        """Return the ids of the items that the thread no longer shows, as far as they are known."""
        if self.may_be_saved and await self._is_saved():  # only the reply to the commit was lost
            return []
        accepted = self._accepted
        try:
            return await self._store.start(
                self._turn,
                self._context,
                new_thread=accepted.thread if accepted.is_new_thread else None,
                items=accepted.items,
                replace_after=accepted.replace_after,
                decisions=accepted.decisions,
                key=self._key,
                seen_position=accepted.seen_position,
                allowed=self._limits,
            )
        except StoreUnavailable:
            self.may_be_saved = True
            raise

    async def _is_saved(self) -> bool:
        try:
            await self._store.load(self._turn.id, self._context)
        except NotFoundError:
            return False
        return True
