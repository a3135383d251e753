"""Each endpoint works in each of its abilities, and docs/models.md says so."""

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from tests.conformance.abilities import NOT_OFFERED, YES
from tests.conformance.endpoints import ENDPOINTS, Endpoint
from tests.conformance.table import Results, documented, section, try_all, without_date

pytestmark = pytest.mark.no_cover


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Results]:
    """Return what tries all; the first test calls it, since `no_cover` does not speed up fixtures."""
    return cache(lambda: asyncio.run(try_all(tmp_path_factory.mktemp("conformance"))))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_the_endpoint_works(results: Callable[[], Results], endpoint: Endpoint) -> None:
    faults = {name: result for name, result in results()[endpoint.name].items() if result not in {YES, NOT_OFFERED}}
    assert faults == {}


def test_the_documented_table_is_true(results: Callable[[], Results]) -> None:
    assert without_date(documented()) == without_date(section(results())), "run: python -m tests.conformance"
