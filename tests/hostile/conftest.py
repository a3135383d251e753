"""One furnished app per database and module."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.conftest import DATABASES, fresh_database
from tests.hostile.house import ALICE, STRANGERS, House, Ids, open_house


@dataclass
class Furnished:
    """An app with what its users have."""

    house: House
    hers: Ids
    strangers: dict[str, Ids]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DATABASES)
async def furnished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Furnished]:
    """Yield an app in which Alice and all strangers have something of everything."""
    folder = tmp_path_factory.mktemp("hostile")
    with fresh_database(request.param, folder, request, with_schema=True) as url:
        async with open_house(folder, url) as house:
            hers = await house.furnish(ALICE)
            yield Furnished(house, hers, {name: await house.furnish(owner) for name, owner in STRANGERS.items()})
