"""The files of the page and the open element."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from chatkit_server.routes.page_files import FOREVER, accepts_gzip
from tests.serving import serve

SCRIPT = "let words = 'many words';\n" * 100
FILES = {
    "index.html": "<title>The page</title>",
    "element.js": SCRIPT,
    "element/markdown-B1x2y3.js": f"export {SCRIPT}",
    "assets/index-A1b2c3.js": "let x",
    "favicon.svg": "<svg/>",
    "assets/sound-C3d4e5.ogg": "OggS" * 1000,
}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A built page in a directory of its own."""
    directory = tmp_path / "built"
    for name, words in FILES.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(words, encoding="utf-8")
    return directory


@pytest.fixture
async def http(built: Path, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows what was sent."""
    async with serve(tmp_path, page_dir=built) as served:
        options = {"auto_decompress": False, "skip_auto_headers": ["accept-encoding"]}
        async with aiohttp.ClientSession(served.url, **options) as http:  # type: ignore[arg-type]  # mixed values
            yield http


@pytest.mark.parametrize("name", ["element.js", "element/markdown-B1x2y3.js"])
async def test_any_site_may_load_the_element_and_its_chunks(http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"/{name}", headers={"origin": "https://other.example"}) as response:
        assert (response.status, await response.text()) == (200, FILES[name])
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
        assert response.headers["cache-control"] == ("no-cache" if name == "element.js" else FOREVER)


async def test_other_files_are_for_the_page_only(http: aiohttp.ClientSession) -> None:
    for name in ("favicon.svg", "assets/index-A1b2c3.js", "element/missing.js"):
        async with http.get(f"/{name}") as response:
            assert response.headers["cross-origin-resource-policy"] == "same-origin"


async def test_texts_are_compressed_for_those_who_accept_it(http: aiohttp.ClientSession) -> None:
    async with http.get("/element.js", headers={"accept-encoding": "br, gzip"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["vary"] == "Accept-Encoding"
        body = await response.read()
    assert gzip.decompress(body).decode() == SCRIPT
    async with http.head("/element.js", headers={"accept-encoding": "gzip"}) as response:
        assert response.headers["content-length"] == str(len(body))
        assert await response.read() == b""
    for name in ("assets/index-A1b2c3.js", "assets/sound-C3d4e5.ogg"):  # too small, and not a text
        async with http.get(f"/{name}", headers={"accept-encoding": "gzip"}) as response:
            assert (await response.text(), response.headers.get("content-encoding")) == (FILES[name], None)
            assert response.headers["cache-control"] == FOREVER


async def test_an_unchanged_script_is_not_sent_again(http: aiohttp.ClientSession, built: Path) -> None:
    async with http.get("/element.js") as response:
        tag = response.headers["etag"]
    for known, status in ((tag, 304), (tag.removeprefix("W/"), 304), ('"other"', 200)):
        async with http.get("/element.js", headers={"if-none-match": f'"old", {known}'}) as response:
            assert (response.status, response.headers["etag"]) == (status, tag)
            assert response.headers["cache-control"] == "no-cache"
    (built / "element.js").write_text("let y", encoding="utf-8")
    async with http.get("/element.js", headers={"if-none-match": tag}) as response:
        assert (response.status, await response.text()) == (200, "let y")


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
    ],
)
def test_gzip_must_be_accepted(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted


async def test_a_page_of_ones_own_finds_the_element_of_the_server(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit_server.routes.page.PLACES", (built,))
    own = tmp_path / "own"
    own.mkdir()
    (own / "index.html").write_text("mine", encoding="utf-8")
    async with serve(tmp_path, page_dir=own) as served, aiohttp.ClientSession(served.url) as http:
        texts = {}
        for name in ("", "element.js", "element/markdown-B1x2y3.js", "assets/index-A1b2c3.js"):
            async with http.get(f"/{name}") as response:
                texts[name] = (response.status, await response.text())
    assert texts[""] == (200, "mine")
    assert texts["element.js"] == (200, FILES["element.js"])
    assert texts["element/markdown-B1x2y3.js"] == (200, FILES["element/markdown-B1x2y3.js"])
    assert texts["assets/index-A1b2c3.js"][0] == 404
