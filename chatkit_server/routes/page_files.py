"""Serve the files of the page and the element: scripts, styles and pictures."""

import gzip
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".txt": "text/plain",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""Texts, which are compressed. The system's table of types may be wrong, and `nosniff` forbids browsers to guess."""
LARGEST_TEXT = 2 * 1024 * 1024
FEWEST_BYTES = 1000
"""Less is not worth compressing."""
KEPT_TEXTS = 100
HASHED = ("assets/", "element/")
"""Where the build writes files whose names contain a hash of their bytes."""
FOREVER = "public, max-age=31536000, immutable"
ELEMENT = ("element.js", "element/")
"""What pages of other sites may load, as `<script src="https://chat.example/element.js">` and by its imports."""
FOR_OTHER_SITES = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}


@dataclass(frozen=True)
class Text:
    """A file in memory, with its entity tag."""

    body: bytes
    compressed: bytes | None
    tag: str


class PageFiles(StaticFiles):
    """The files in the directory that `find` returns: at each request, so that it can be built while the server runs.

    The element is also looked for in the directory that `find_element` returns. Texts are compressed once, and kept in
    memory.
    """

    def __init__(self, find: Callable[[], Path | None], find_element: Callable[[], Path | None] = lambda: None) -> None:
        super().__init__(check_dir=False)
        self._find, self._find_element = find, find_element

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return file path and stat: Starlette's hook, which runs in a thread."""
        places = (self._find(), self._find_element() if path.startswith(ELEMENT) else None)
        self.all_directories = [place for place in places if place]
        full_path, status = super().lookup_path(path)
        if status is not None and _is_text(full_path, status):
            _load(full_path, status.st_mtime_ns, status.st_size)  # here, so that `file_response` need not wait
        return full_path, status

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file: Starlette's hook. Only other files than texts can be read in ranges."""
        if not _is_text(full_path, stat_result):
            return super().file_response(full_path, stat_result, scope, status_code)
        text = _load(os.fspath(full_path), stat_result.st_mtime_ns, stat_result.st_size)
        request = Headers(scope=scope)
        # A weak tag, as the compressed file has it, too.
        headers = {"etag": f"W/{text.tag}", "vary": "Accept-Encoding"}
        if text.tag in [tag.strip().removeprefix("W/") for tag in request.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        media_type = TYPES[Path(full_path).suffix]
        if text.compressed is None or not accepts_gzip(request.get("accept-encoding", "")):
            return Response(text.body, status_code, headers, media_type)
        return Response(text.compressed, status_code, headers | {"content-encoding": "gzip"}, media_type)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, cached forever if its name contains a hash; the rest is revalidated."""
        response = await super().get_response(path, scope)
        is_found = response.status_code in (200, 206, 304)
        response.headers["cache-control"] = FOREVER if is_found and path.startswith(HASHED) else "no-cache"
        if path.startswith(ELEMENT):
            response.headers.update(FOR_OTHER_SITES)
        return response


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the header `Accept-Encoding` admits gzip."""
    for entry in accept_encoding.lower().split(","):
        coding, _, weight = entry.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.strip().removeprefix("q=").strip("0.") != "" or not weight
    return False


def _is_text(path: str | os.PathLike[str], status: os.stat_result) -> bool:
    return Path(path).suffix in TYPES and stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_TEXT


@lru_cache(KEPT_TEXTS)
def _load(path: str, changed_ns: int, size: int) -> Text:
    """Read and compress a file; `changed_ns` and `size` change when the file does."""
    body = Path(path).read_bytes()
    compressed = gzip.compress(body, mtime=0) if len(body) >= FEWEST_BYTES else None
    return Text(body, compressed, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')
