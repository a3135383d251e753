"""The turns of a thread are found without a look at the others that run."""

import asyncio
from typing import cast

from chatkit_server.limits.fair_queue import FairQueue
from chatkit_server.turns.local_turns import LocalTurns
from chatkit_server.turns.turn import Turn
from chatkit_store import Owner

ALICE, BOB = Owner("", "alice"), Owner("", "bob")


class Running:
    """A turn that runs until it is stopped; `looks` counts how often somebody asks for its thread."""

    def __init__(self, turn_id: str, thread_id: str, owner: Owner) -> None:
        self.id, self.owner, self._thread_id = turn_id, owner, thread_id
        self.looks = 0
        self._stopped = asyncio.Event()

    @property
    def thread_id(self) -> str:
        self.looks += 1
        return self._thread_id

    def stop(self, _: str) -> None:
        self._stopped.set()

    async def run(self) -> None:
        await self._stopped.wait()


async def test_turns_of_a_thread_are_found_without_a_look_at_others() -> None:
    local, queue = LocalTurns(), FairQueue(100, 0, 0)
    others = [Running(f"turn_{n}", f"thr_{n}", ALICE) for n in range(50)]
    ending, following = Running("turn_a", "thr", ALICE), Running("turn_b", "thr", ALICE)
    for turn in (*others, ending, following, Running("turn_c", "thr", BOB)):
        local.run(cast(Turn, turn), None, queue.promise(turn.owner))
    looks = [turn.looks for turn in others]
    assert ids_of(local, "thr", ALICE) == ["turn_a", "turn_b"]
    assert ids_of(local, "thr", BOB) == ["turn_c"]
    assert ids_of(local, "thr_0", BOB) == ids_of(local, "thr_none", ALICE) == []
    assert [turn.looks for turn in others] == looks
    ending.stop("user")
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == ending.id)
    await task
    assert ids_of(local, "thr", ALICE) == ["turn_b"]
    local.interrupt()
    await local.wait(10)
    assert not local.ids()
    assert not local._by_thread, "what it kept of turns that have ended would be a leak"


def ids_of(local: LocalTurns, thread_id: str, owner: Owner) -> list[str]:
    return [turn.id for turn in local.of_thread(thread_id, owner)]
