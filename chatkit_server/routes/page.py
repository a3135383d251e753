"""Serve the built page at `/`."""

import contextlib
import logging
import os
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ..errors.http import TooManyRequests
from ..services import services_of
from .security_headers import page_policy

logger = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

_PACKAGE = Path(__file__).parent.parent
PLACES = (_PACKAGE / "page", _PACKAGE.parent / "web" / "dist")
"""Where the built page is: in an installed package, and in a checkout."""

NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>chatkit-server</title>
<p>The server is running, but its page has not been built. Run <code>make web</code> and reload; with
<code>make dev</code> the build takes a moment.
<p>The ChatKit protocol is served at <code>POST /chatkit</code>."""


def page_directory(chosen: Path | None) -> Path | None:
    """Return the directory of the built page, `chosen` or one of `PLACES`; None if it was never built."""
    places = (chosen,) if chosen else PLACES
    return next((place for place in places if (place / "index.html").is_file()), None)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """Return the page, and set the user's cookie: otherwise its first two requests could create two users.

    Each load renews the cookie for another year, so that returning users keep their threads.
    """
    services = services_of(request)
    directory = page_directory(services.settings.page_dir)
    response: Response = FileResponse(directory / "index.html") if directory else HTMLResponse(NOT_BUILT)
    response.headers["cache-control"] = "private, no-cache"
    response.headers["content-security-policy"] = page_policy(services.settings)
    with contextlib.suppress(TooManyRequests):  # the page itself is for everyone
        services.auth.remember(request, response, services.auth.authenticate(request), renew=True)
    return response


class PageFiles(StaticFiles):
    """The page's other files. Looked up at each request, so that the page can be built while the server runs."""

    def __init__(self, chosen: Path | None) -> None:
        super().__init__(check_dir=False)
        self._chosen = chosen

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return file path and stat: Starlette's hook."""
        self.all_directories = [directory] if (directory := page_directory(self._chosen)) else []
        return super().lookup_path(path)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, cached forever if it is in assets/, where names contain a hash; the rest is revalidated."""
        response = await super().get_response(path, scope)
        is_immutable = path.startswith("assets/") and response.status_code == 200
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_immutable else "no-cache"
        return response


def mount_page(app: FastAPI, chosen: Path | None) -> None:
    """Serve the page, from `chosen` if given. Must come last: it matches every remaining path."""
    if chosen is not None and page_directory(chosen) is None:
        logger.warning("CHATKIT_PAGE_DIR=%s has no index.html; `/` says so until it is there", chosen)
    app.include_router(router)
    app.mount("/", PageFiles(chosen), name="page")
