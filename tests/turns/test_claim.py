"""After a pause of the process, nobody sends until the claim is checked."""

import asyncio

import pytest

from chatkit_server.turns import claim as claims
from chatkit_server.turns.claim import Claim
from chatkit_store import StoreUnavailable


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, in the only entry."""
    now = [100.0]
    monkeypatch.setattr(claims, "_now", lambda: now[0])
    return now


async def test_no_reader_may_send_while_another_one_checks(clock: list[float]) -> None:
    checking, checked = asyncio.Event(), asyncio.Event()

    async def check() -> None:
        checking.set()
        await checked.wait()

    claim = Claim(5.0, check)
    assert claim.is_certain()
    clock[0] += 6.0
    confirming = asyncio.create_task(claim.confirm())
    await checking.wait()
    assert not claim.is_certain()
    checked.set()
    await confirming
    assert claim.is_certain()


async def test_a_claim_stays_doubtful_until_the_database_answers(clock: list[float]) -> None:
    failures = [StoreUnavailable("gone")] * 2
    certain: list[bool] = []

    async def check() -> None:
        certain.append(claim.is_certain())
        if failures:
            raise failures.pop()

    claim = Claim(5.0, check)
    clock[0] += 6.0
    await claim.confirm()
    assert certain == [False, False, False]
    assert claim.is_certain()


async def test_a_pause_during_the_check_needs_another_check(clock: list[float]) -> None:
    pauses = [6.0, 0.0]

    async def check() -> None:
        clock[0] += pauses.pop(0)

    claim = Claim(5.0, check)
    clock[0] += 6.0
    await claim.confirm()
    assert pauses == []
    assert claim.is_certain()
