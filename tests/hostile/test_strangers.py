"""Nobody can tell what belongs to others from what does not exist, by any operation, route or id."""

import re
from dataclasses import astuple

import pytest

from chatkit_server.routes.protocol import OPERATIONS
from tests.hostile import operations, routes
from tests.hostile.conftest import Furnished
from tests.hostile.house import ALICE, PRIVATE, STRANGERS, Ids, Rows, logged_in
from tests.hostile.sending import Try, refusal_status, tries_naming_nothing, tries_with
from tests.hostile.surface import routes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_there_is_an_attempt_for_each_operation_and_route(furnished: Furnished) -> None:
    ids = furnished.hers
    attempts = operations.attempts_with(ids, ids)
    assert set(attempts) == OPERATIONS, "add the operation to attempts_with in tests/hostile/operations.py"
    for operation, params in attempts.items():
        assert params or operation in operations.NAMES_NOTHING, f"{operation} has no attempt"
    protocol = {"POST /chatkit", "POST /chatkit/"}
    attempted = protocol.union(
        routes.attempts_with(ids, ids),
        routes.NAMES_NOTHING,
        routes.OPEN,
        routes.NOT_IMPLEMENTED,
        routes.BY_KEY,
        routes.BY_SECRET,
    )
    missing = routes_of(furnished.house.app) - attempted
    assert not missing, (
        f"no attempt for {sorted(missing)}: add requests with others' ids to attempts_with in tests/hostile/routes.py, "
        "or the route to NAMES_NOTHING; or, if it needs no login, to OPEN with the reason"
    )


MILLISECONDS = re.compile(rb'_ms": ?\d+')
"""Figures that differ from one response to the next."""


def without_clicks_on(own: Ids, rows: Rows) -> Rows:
    """Return the rows without those that keep the answer to an action on the sender's own thread, also a refusal."""
    clicks = [row for row in rows["sync_actions"] if own.thread not in row]
    return rows | {"sync_actions": clicks}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_what_is_not_yours_looks_like_what_is_not_there(furnished: Furnished, stranger: str) -> None:
    house, hers, own = furnished.house, furnished.hers, furnished.strangers[stranger]
    headers = logged_in(STRANGERS[stranger])
    before = await house.rows()
    for of_alice, of_nobody in zip(tries_with(hers, own), tries_with(hers.missing(), own), strict=True):
        real, missing = await of_alice.send(house, headers), await of_nobody.send(house, headers)
        assert real == missing, of_alice
        assert real.is_refused, (of_alice, real)
        assert PRIVATE.encode() not in real.answer.body
    assert without_clicks_on(own, await house.rows()) == without_clicks_on(own, before)


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_strangers_get_nothing_of_others_without_naming_it(furnished: Furnished, stranger: str) -> None:
    ids = [str(value).encode() for value in astuple(furnished.hers)]
    for attempt in tries_naming_nothing():
        seen = await attempt.send(furnished.house, logged_in(STRANGERS[stranger]))
        assert seen.answer.status == 200, (attempt, seen)
        assert [value for value in ids if value in seen.answer.body] == [], attempt


async def test_nobody_is_told_to_log_in_and_nothing_is_read_or_written(furnished: Furnished) -> None:
    house, hers = furnished.house, furnished.hers
    before = await house.rows()
    for attempt in (*tries_with(hers, hers), *tries_naming_nothing()):
        seen = await attempt.send(house, {})
        if attempt.name in routes.SIGNED:
            continue  # the right signature is a login; test_signatures.py has the wrong ones
        assert seen.answer.status == refusal_status(attempt), (attempt, seen)
        assert seen.is_refused
        assert b"not logged in" in seen.answer.body
        assert seen.statements == ()
    assert await house.rows() == before


@pytest.mark.parametrize("bearer", ["", "Bearer", "Bearer ek_x", "Bearer ck_x", "Bearer " + "a" * 3000, "Basic eDp5"])
@pytest.mark.parametrize("who", [*STRANGERS, "Alice", "nobody"])
async def test_no_user_can_call_what_needs_a_key_or_a_secret(furnished: Furnished, who: str, bearer: str) -> None:
    house, before = furnished.house, await furnished.house.rows()
    owner = STRANGERS.get(who, ALICE)
    headers = ({} if who == "nobody" else dict(logged_in(owner))) | ({"authorization": bearer} if bearer else {})
    for name, attempt in {**routes.BY_KEY, **routes.BY_SECRET}.items():
        seen = await Try(name, attempt).send(house, headers)
        assert seen.answer.status == 401, (name, seen)
        assert not any("api_keys" not in text and "chat_sessions" not in text for text in seen.statements), seen
    assert await house.rows() == before


@pytest.mark.parametrize("route", routes.OPEN)
async def test_an_open_route_tells_everybody_the_same(furnished: Furnished, route: str) -> None:
    method, _, path = route.partition(" ")
    if route not in routes_of(furnished.house.app) or method == "MOUNT":
        return
    of_nobody, of_alice = [await furnished.house.send(method, path, headers=who) for who in ({}, logged_in(ALICE))]
    assert (of_nobody.status, MILLISECONDS.sub(b"", of_nobody.body)) == (
        of_alice.status,
        MILLISECONDS.sub(b"", of_alice.body),
    )
    assert of_nobody.status in (200, 426)


@pytest.mark.parametrize("route", sorted(routes.NOT_IMPLEMENTED))
async def test_a_route_that_is_not_implemented_does_nothing(furnished: Furnished, route: str) -> None:
    method, _, path = route.partition(" ")
    answer = await furnished.house.send(method, path, headers=logged_in(ALICE))
    assert answer.status == 501, "it does something now: move it to the other lists of tests/hostile/routes.py"
