"""The health routes and the page, as monitors ask for them."""

import aiohttp
import pytest

from tests.serving import Served, Tab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/stream/health", "/"])
async def test_head_answers_like_get_without_a_body(served: Served, path: str) -> None:
    """`wget --spider` and uptime monitors send HEAD."""
    async with aiohttp.ClientSession() as session:
        async with session.get(served.url + path) as got:
            expected = (got.status, got.headers["content-type"])
        async with session.head(served.url + path) as response:
            assert (response.status, response.headers["content-type"]) == expected
            assert await response.read() == b""
    assert expected[0] == 200


async def test_the_protocol_also_answers_with_a_slash_at_the_end(served: Served, tab: Tab) -> None:
    tab._url += "/"
    reply = await tab.create("Hello")
    assert reply.error is None
    assert reply.text
    assert (await tab.list())["data"]
