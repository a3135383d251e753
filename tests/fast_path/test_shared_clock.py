"""The clock: waits of many answers share the timers of the event loop."""

import asyncio
from functools import partial
from time import monotonic

import pytest

from chatkit_server.fast_path.shared_clock import STEPS, Clock, Wait, clock


async def test_a_wait_is_never_short_and_is_called_once() -> None:
    began, late = monotonic(), list[float]()
    last = asyncio.Event()

    def note(seconds: float) -> None:
        late.append(monotonic() - began - seconds)

    for seconds in (0.0, 0.004, 0.03):
        clock().call_later(seconds, partial(note, seconds))
    clock().call_later(0.08, last.set)
    async with asyncio.timeout(30):
        await last.wait()
    assert len(late) == 3
    assert min(late) >= 0


async def test_a_cancelled_wait_is_forgotten() -> None:
    waits, called = Clock(), asyncio.Event()
    cancelled = waits.call_later(0.03, lambda: pytest.fail("it was cancelled"))
    cancelled.cancel()
    assert not any(waits._waits.values())
    waits.call_later(0.03, called.set)
    async with asyncio.timeout(30):
        await called.wait()
    cancelled.cancel()


async def test_a_callback_may_cancel_and_add_waits() -> None:
    waits, done = Clock(), asyncio.Event()
    neighbours: list[Wait] = []

    def cancel_neighbour() -> None:
        for neighbour in neighbours:
            neighbour.cancel()
        waits.call_later(0.0, done.set)

    neighbours += [waits.call_later(0.03, cancel_neighbour), waits.call_later(0.03, cancel_neighbour)]
    async with asyncio.timeout(30):
        await done.wait()


async def test_waits_that_end_close_to_each_other_share_a_timer() -> None:
    waits = Clock()
    for _ in range(100):
        waits.call_later(60.0, lambda: None).cancel()
        waits.call_later(60.0, lambda: None)
    assert len(waits._waits) <= 2
    (limit, _), *_ = STEPS
    first = waits._timer
    waits.call_later(limit, lambda: None)
    assert first is not None
    assert first.cancelled(), "one timer at a time: the earliest"


async def test_callbacks_of_an_iteration_share_one_call_and_a_failure_harms_no_other() -> None:
    failures, called = list[object](), list[int]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    waits = Clock()
    waits.call_soon(lambda: called.append(1))
    waits.call_soon(lambda: 1 / 0)
    waits.call_soon(lambda: called.append(2))
    assert called == []
    await asyncio.sleep(0)
    assert called == [1, 2]
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    loop.set_exception_handler(None)


async def test_a_loop_has_one_clock() -> None:
    assert clock() is clock()
