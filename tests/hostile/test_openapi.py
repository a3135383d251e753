"""Requests that schemathesis makes from our OpenAPI document: no fault, and responses as it declares them."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import requests
import schemathesis
from agents import Agent
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.hostile.house import ALICE, House, Ids, logged_in, open_house
from tests.routes.asgi import Answer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.no_cover]

AnyCase: TypeAlias = Case[Any]

API_KEY = "an API key of the customer's backend"
EXAMPLES = 300
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Described:
    """The app, requests to it, and what its user has."""

    house: House
    ids: Ids
    cases: st.SearchStrategy[AnyCase]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def described(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Described]:
    """Yield an app with one user."""
    folder = tmp_path_factory.mktemp("openapi")
    async with open_house(folder, f"sqlite:///{folder / 'test.db'}", auth="session", api_keys=API_KEY) as house:
        ids = await house.furnish(ALICE)
        house.stage.playing = Agent(name="Nobody")  # the demo model answers
        yield Described(house, ids, st.one_of(*_cases(house)))


def _cases(house: House) -> Iterator[st.SearchStrategy[AnyCase]]:
    schema = schemathesis.openapi.from_dict(house.app.openapi())
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result.err()
        operation = result.ok()
        yield operation.as_strategy(GenerationMode.POSITIVE)
        if any(operation.iter_parameters()) or operation.body:
            yield operation.as_strategy(GenerationMode.NEGATIVE)


def with_real_ids(case: AnyCase, ids: Ids) -> None:
    """Put the ids of what exists into the path."""
    reads = case.method.upper() == "GET"
    file, token = (ids.attachment, ids.download) if reads else (ids.pending, ids.upload)
    real = {"turn_id": ids.turn, "thread_id": ids.thread, "attachment_id": file}
    case.path_parameters = {name: real.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if "attachment_id" in case.path_parameters:
        case.query = {**(case.query or {}), "token": token}


async def sent(case: AnyCase, house: House) -> tuple[requests.PreparedRequest, Answer]:
    """Send the case, in process."""
    arguments = case.as_transport_kwargs(base_url="http://localhost")
    arguments = {name: value for name, value in arguments.items() if name in REQUEST}
    request = requests.Request(**arguments).prepare()
    url = urlsplit(str(request.url))
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    assert isinstance(body, bytes)
    headers = {name.lower(): value for name, value in request.headers.items()} | dict(logged_in(ALICE))
    if url.path.startswith("/v1/"):
        headers["authorization"] = f"Bearer {API_KEY}"
    return request, await house.send(case.method.upper(), url.path, body, headers, url.query.encode())


REQUEST = frozenset({"method", "url", "headers", "files", "data", "json", "params", "cookies"})


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
async def test_responses_are_those_that_the_document_declares(
    described: Described, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    case = data.draw(described.cases)
    if data.draw(st.booleans()):
        with_real_ids(case, described.ids)
    request, answer = await sent(case, described.house)
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
    response = schemathesis.Response(answer.status, headers, answer.body, request, elapsed=0.0, verify=False)
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as failures:
        raise AssertionError("\n".join(f"{failure}" for failure in failures.exceptions)) from None
    assert answer.status < 500
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
