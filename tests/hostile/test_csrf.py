"""A page of another site cannot make a browser change anything: no route, no operation, no socket."""

import json

import pytest

from tests.hostile.conftest import Furnished
from tests.hostile.house import ALICE, Headers, logged_in
from tests.hostile.routes import BY_KEY, BY_SECRET, NAMES_NOTHING, attempts_with
from tests.hostile.sending import Try
from tests.hostile.surface import routes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREIGN: dict[str, Headers] = {
    "another site": {"origin": "https://mallory.example", "sec-fetch-site": "cross-site"},
    "another site, as an old browser says": {"origin": "https://mallory.example"},
    "another port": {"origin": "http://localhost:9999"},
    "a subdomain": {"origin": "http://evil.localhost", "sec-fetch-site": "same-site"},
    "a frame without an origin": {"origin": "null"},
    "a form": {"origin": "null", "sec-fetch-site": "cross-site", "content-type": "application/x-www-form-urlencoded"},
    "text": {"origin": "https://mallory.example", "content-type": "text/plain"},
    "no origin, but a site": {"sec-fetch-site": "cross-site", "content-type": "text/plain"},
    "two origins": {"origin": "http://localhost, https://mallory.example"},
    "a name that begins like ours": {"origin": "http://localhost.mallory.example"},
    "ours as a user name": {"origin": "http://localhost@mallory.example"},
}


@pytest.mark.parametrize("page", FOREIGN)
async def test_a_page_of_another_site_changes_nothing(furnished: Furnished, page: str) -> None:
    house, hers = furnished.house, furnished.hers
    before = await house.rows()
    own = {route: list(attempts) for route, attempts in attempts_with(hers, hers).items()}
    requests = own | {route: [attempt] for route, attempt in {**NAMES_NOTHING, **BY_KEY, **BY_SECRET}.items()}
    changing = {name for name in routes_of(house.app) if name.split()[0] not in ("GET", "HEAD", "MOUNT")}
    assert changing <= requests.keys() | {"POST /chatkit", "POST /chatkit/"}
    for name in changing & requests.keys():
        for attempt in requests[name]:
            answer = await Try(name, attempt).answer(house, {**logged_in(ALICE), **FOREIGN[page]})
            assert answer.status == 403, (name, attempt, answer)
    body = json.dumps({"type": "threads.delete", "params": {"thread_id": hers.thread}}).encode()
    for path in ("/chatkit", "/chatkit/"):
        headers = {"content-type": "application/json", **logged_in(ALICE), **FOREIGN[page]}
        assert (await house.send("POST", path, body, headers)).status == 403
    assert await house.rows() == before


async def test_a_body_that_any_page_may_send_is_not_read_as_json(furnished: Furnished) -> None:
    """Browsers that say nothing about the page: then the content type is what a page cannot choose freely."""
    body = json.dumps({"type": "threads.delete", "params": {"thread_id": furnished.hers.thread}}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""):
        headers = {"content-type": kind, **logged_in(ALICE)}
        for path in ("/chatkit", "/api/message", "/api/stream/message", "/api/entities/preview"):
            answer = await furnished.house.send("POST", path, body, headers)
            assert answer.status == 400, (kind, path, answer)
