"""What browsers and caches may do with responses."""

from pathlib import Path

import aiohttp
import pytest

from tests.serving import Served, Tab, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


PAGES = ("/", "/api/chatkit/options")
"""What browsers may keep, and ask for again."""


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/api/chatkit/options", "/api/turns/turn_1", "/nothing", "/api/docs"]
)
async def test_no_response_is_sniffed_framed_by_strangers_or_kept_by_a_shared_cache(served: Served, path: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(served.url + path) as response:
        headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] in ("private, no-store", "private, no-cache" if path in PAGES else "no-cache")
    assert headers["cache-control"] != "no-cache" or path == "/nothing"


async def test_conversations_are_not_stored_by_any_cache(tab: Tab) -> None:
    created = await tab.create("Hello")
    assert "no-store" in created.headers["cache-control"]
    for operation, params in (("threads.list", {}), ("threads.get_by_id", {"thread_id": created.thread_id})):
        assert (await tab.post(operation, params)).headers["cache-control"] == "private, no-store"
    refused = await tab.post("threads.get_by_id", {"thread_id": "thr_unknown"})
    assert refused.headers["cache-control"] == "private, no-store"


async def test_the_page_runs_its_own_scripts_and_the_widgets(tmp_path: Path) -> None:
    async with serve(tmp_path, cors_origins=["https://app.example"]) as served, aiohttp.ClientSession() as http:
        async with http.get(served.url) as response:
            policy = response.headers["content-security-policy"].split("; ")
    assert policy == [
        "frame-ancestors 'self' https://app.example",
        "base-uri 'self'",
        "object-src 'none'",
        "form-action 'self'",
        "script-src 'self' https://cdn.platform.openai.com",
        "frame-src 'self' https://cdn.platform.openai.com",
        "connect-src 'self' https: http: data: blob:",
    ]


async def test_a_page_of_your_own_may_load_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<script src=https://cdn.example/x.js></script>", encoding="utf-8")
    async with serve(tmp_path, page_dir=tmp_path) as served, aiohttp.ClientSession() as http:
        async with http.get(served.url) as response:
            assert "script-src" not in response.headers["content-security-policy"]


async def test_a_page_with_the_open_element_loads_nothing_of_openai(tmp_path: Path) -> None:
    async with serve(tmp_path, widget="open") as served, aiohttp.ClientSession() as http:
        async with http.get(served.url) as response:
            policy = response.headers["content-security-policy"]
        async with http.get(f"{served.url}/api/chatkit/options") as response:
            assert (await response.json())["widget"] == "open"
    assert "openai" not in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy.split("; ")
