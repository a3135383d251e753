"""Ask whether the database answers and has its tables, without ever waiting long for it."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from chatkit_store import StoreError
from chatkit_store.migrations import schema_problem


class DatabaseProbe:
    """One question at a time: a database that hangs keeps one connection, however often it is asked about."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._question: asyncio.Task[StoreError | str | None] | None = None

    async def problem(self, seconds: float) -> StoreError | str | None:
        """Return why the database cannot be used, or None if it can, at the latest after this time."""
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask(), name="database probe")
        question = self._question
        done, _ = await asyncio.wait([question], timeout=seconds)
        return question.result() if done else self._cause(seconds)

    async def aclose(self) -> None:
        """Cancel a question that has no answer yet."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait([self._question], timeout=1.0)

    async def _ask(self) -> StoreError | str | None:
        try:
            return await schema_problem(self._engine)
        except StoreError as error:
            return error

    def _cause(self, seconds: float) -> str:
        pool = self._engine.pool
        if isinstance(pool, QueuePool) and pool.checkedout() >= pool.size():
            return f"All {pool.checkedout()} connections to the database are in use."
        return f"The database has not answered within {seconds:g} s."
