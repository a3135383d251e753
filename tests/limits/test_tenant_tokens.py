"""How a worker counts the tokens of a tenant."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from chatkit_server.limits import tenant_tokens
from chatkit_server.limits.tenant_tokens import TenantTokens
from chatkit_store import LimitReached, TurnStore

DAY = datetime(2026, 3, 1, tzinfo=UTC)


class Clock(datetime):
    """A clock that a test sets."""

    moment = DAY

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # not a Clock
        """Return the moment."""
        return cls.moment


class Counts:
    """A store whose turns have used all tokens of one day; one tenant's are slow to sum up."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, datetime]] = []
        self.may_answer = asyncio.Event()

    async def tenant_tokens(self, tenant: str, since: datetime) -> int:
        """Return the tokens since the start of a day."""
        self.questions.append((tenant, since))
        if tenant == "large":
            await self.may_answer.wait()
        return 100 if since == DAY else 0


async def test_the_count_of_yesterday_refuses_nobody_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_tokens, "datetime", Clock)
    tokens = TenantTokens(cast(TurnStore, Counts()), 100)
    monkeypatch.setattr(Clock, "moment", DAY + timedelta(hours=23, minutes=59, seconds=59))
    with pytest.raises(LimitReached) as error:
        await tokens.check("acme")
    assert error.value.until == DAY + timedelta(days=1)
    monkeypatch.setattr(Clock, "moment", DAY + timedelta(days=1, seconds=1))
    await tokens.check("acme")


async def test_a_tenant_waits_for_no_other_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_tokens, "datetime", Clock)
    monkeypatch.setattr(Clock, "moment", DAY + timedelta(days=1))
    counts = Counts()
    tokens = TenantTokens(cast(TurnStore, counts), 100)
    slow = [asyncio.create_task(tokens.check("large")) for _ in range(10)]
    async with asyncio.timeout(30):
        await tokens.check("small")
        counts.may_answer.set()
        await asyncio.gather(*slow)
    assert [tenant for tenant, _ in counts.questions].count("large") == 1, "each of them asked"
