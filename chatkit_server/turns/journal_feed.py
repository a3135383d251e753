"""Read the journals of all turns that readers of this worker follow in one statement, instead of one for each."""

import asyncio

from chatkit_store import JournalStore
from chatkit_store.errors import NotFound
from chatkit_store.journal import Excerpt


class JournalFeed:
    """Collects what is asked for at the same moment, or while the database is busy with what was asked before."""

    def __init__(self, journal: JournalStore) -> None:
        self._journal = journal
        self._wanted: dict[str, tuple[int, asyncio.Future[Excerpt]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def read(self, turn_id: str, after: int) -> Excerpt:
        """Do as `JournalStore.read`, for a turn whose owner was checked. It has one caller at a time."""
        future: asyncio.Future[Excerpt] = asyncio.get_running_loop().create_future()
        self._wanted[turn_id] = (after, future)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="journals of remote turns")
        return await future

    async def _read(self) -> None:
        try:
            await asyncio.sleep(0)  # the others that were woken with the first one
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._answer(wanted)
        finally:
            self._reading = None

    async def _answer(self, wanted: dict[str, tuple[int, "asyncio.Future[Excerpt]"]]) -> None:
        try:
            excerpts = await self._journal.read_all({turn_id: after for turn_id, (after, _) in wanted.items()})
        except Exception as error:
            for _, future in wanted.values():
                if not future.done():
                    future.set_exception(error)
            return
        for turn_id, (_, future) in wanted.items():
            if future.done():  # its reader has left
                continue
            if (excerpt := excerpts.get(turn_id)) is None:
                future.set_exception(NotFound("Turn", turn_id))
            else:
                future.set_result(excerpt)
