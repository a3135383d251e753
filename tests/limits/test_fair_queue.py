"""A worker's turns are given out fairly, and whoever waits in vain learns it."""

import asyncio
import time

import pytest
from starlette.requests import ClientDisconnect

from chatkit_server.errors.http import ServerBusy, ServerStopping
from chatkit_server.limits.fair_queue import FairQueue, Slot
from chatkit_store import Owner

ALICE, BOB, CAROL, DAVE = (Owner("", name) for name in ("alice", "bob", "carol", "dave"))


class Crowd:
    """Requests that wait; `served` has their names in the order in which they got a slot."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.slots: list[Slot] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, name: str, owner: Owner) -> None:
        """Send a request, and let it reach the queue."""
        self.tasks[name] = asyncio.create_task(self._wait(name, owner))
        await asyncio.sleep(0)

    async def _wait(self, name: str, owner: Owner) -> None:
        self.slots.append(await self.queue.enter(owner))
        self.served.append(name)

    async def end_first(self) -> None:
        """End the oldest turn; return once the next one has its slot."""
        count = len(self.served) + bool(self.queue.waiting)
        self.slots.pop(0).release()
        async with asyncio.timeout(30):
            while len(self.served) < count:  # noqa: ASYNC110 - a list has no event for it
                await asyncio.sleep(0)

    async def refused(self, name: str) -> type[BaseException]:
        """Return the error that a request got."""
        await asyncio.wait([self.tasks[name]], timeout=30)
        error = self.tasks[name].exception()
        assert error is not None
        return type(error)


async def test_users_take_turns_and_keep_the_order_of_their_own_requests() -> None:
    crowd = Crowd(FairQueue(1, 100, 60))
    for number in range(4):
        await crowd.add(f"a{number}", ALICE)
    for number in range(2):
        await crowd.add(f"b{number}", BOB)
    await crowd.add("c0", CAROL)
    while len(crowd.served) < 7:
        await crowd.end_first()
    assert crowd.served == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]


async def test_a_free_slot_goes_to_who_has_the_fewest() -> None:
    crowd = Crowd(FairQueue(4, 100, 60))
    for number in range(20):
        await crowd.add(f"a{number}", ALICE)
    for number in range(2):
        await crowd.add(f"b{number}", BOB)
    for _ in range(2):
        await crowd.end_first()
    assert crowd.served == ["a0", "a1", "a2", "a3", "b0", "b1"]
    await crowd.add("c0", CAROL)
    await crowd.end_first()
    assert crowd.served[-1] == "c0"


async def test_a_full_queue_refuses_the_newest_of_who_has_the_most() -> None:
    crowd = Crowd(FairQueue(1, 3, 60))
    for number in range(4):
        await crowd.add(f"a{number}", ALICE)
    await crowd.add("a4", ALICE)
    assert await crowd.refused("a4") is ServerBusy
    await crowd.add("b0", BOB)
    assert await crowd.refused("a3") is ServerBusy
    await crowd.add("c0", CAROL)
    assert await crowd.refused("a2") is ServerBusy
    await crowd.add("d0", DAVE)
    assert await crowd.refused("d0") is ServerBusy  # nobody has more than one
    assert crowd.queue.waiting == 3
    while len(crowd.served) < 4:
        await crowd.end_first()
    assert crowd.served == ["a0", "a1", "b0", "c0"]


async def test_who_waits_too_long_is_refused_and_forgotten() -> None:
    queue = FairQueue(1, 10, 0.02)
    slot = await queue.enter(ALICE)
    with pytest.raises(ServerBusy) as caught:
        await queue.enter(BOB)
    assert (caught.value.status, caught.value.retry_after, queue.waiting) == (503, 5, 0)
    slot.release()
    slot.release()
    (await queue.enter(BOB)).release()


@pytest.mark.parametrize("how", ["gone", "cancelled"])
async def test_who_leaves_makes_room(how: str) -> None:
    queue, gone = FairQueue(1, 10, 60), asyncio.Event()
    slot = await queue.enter(ALICE)
    waiting = asyncio.create_task(queue.enter(BOB, gone.wait))
    while not queue.waiting:  # noqa: ASYNC110 - a queue has no event for it
        await asyncio.sleep(0)
    gone.set() if how == "gone" else waiting.cancel()
    await asyncio.wait([waiting], timeout=30)
    assert queue.waiting == 0
    assert waiting.cancelled() if how == "cancelled" else isinstance(waiting.exception(), ClientDisconnect)
    slot.release()
    (await queue.enter(CAROL)).release()


@pytest.mark.parametrize("steps", range(4))
async def test_a_slot_that_comes_with_a_cancellation_is_not_lost(steps: int) -> None:
    async def gone() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # a watch that takes its time to end

    async def use(owner: Owner) -> None:
        with await queue.enter(owner, gone):
            await asyncio.sleep(0)

    queue = FairQueue(1, 10, 60)
    slot = await queue.enter(ALICE)
    waiting = asyncio.create_task(use(BOB))
    while not queue.waiting:  # noqa: ASYNC110 - a queue has no event for it
        await asyncio.sleep(0)
    slot.release()
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=30)
    await asyncio.wait_for(use(CAROL), 30)


async def test_a_replacement_counts_from_when_it_runs() -> None:
    queue = FairQueue(1, 10, 60)
    replaced = await queue.enter(ALICE)
    with queue.promise(ALICE):  # such as one that is refused
        pass
    slot = queue.promise(ALICE).keep()
    replaced.release()
    waiting = asyncio.create_task(queue.enter(BOB))
    await asyncio.sleep(0)
    assert queue.waiting == 1
    slot.release()
    (await asyncio.wait_for(waiting, 30)).release()


async def test_a_stopping_server_refuses_all_who_wait() -> None:
    crowd = Crowd(FairQueue(1, 10, 60))
    for name, owner in (("a", ALICE), ("b", BOB), ("c", CAROL)):
        await crowd.add(name, owner)
    crowd.queue.close()
    assert [await crowd.refused(name) for name in ("b", "c")] == [ServerStopping, ServerStopping]
    with pytest.raises(ServerStopping):
        await crowd.queue.enter(ALICE)


async def test_ten_thousand_turns_leave_nothing_behind() -> None:
    queue = FairQueue(3, 50, 60)
    owners = [Owner("", str(number)) for number in range(20)]

    async def ask(owner: Owner) -> bool:
        try:
            with await queue.enter(owner):
                await asyncio.sleep(0)
        except ServerBusy:
            return False
        return True

    started = time.monotonic()
    results = [await asyncio.gather(*(ask(owner) for owner in owners * 2)) for _ in range(250)]
    print(f"10,000 turns in {time.monotonic() - started:.2f} s")  # noqa: T201 - with pytest -s
    assert all(map(all, results))
    assert (queue.waiting, queue._used.total(), len(queue._used)) == (0, 0, 0)
