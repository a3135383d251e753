"""Serve the built page at `/`."""

import contextlib
import logging
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from ..errors.http import ServerError
from ..services import services_of
from .page_files import PageFiles
from .security_headers import page_policy

logger = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

_PACKAGE = Path(__file__).parent.parent
_WEB = _PACKAGE.parent / "web"
PLACES = (_PACKAGE / "page", _WEB / "dist", _WEB / "dist-dev")
"""Where the built page is: in an installed package, and in a checkout, where `make dev` builds another one."""

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
    with contextlib.suppress(ServerError):  # the page itself is for everyone: it says where a login is needed
        services.door.remember(request, response, await services.door.authenticate(request), renew=True)
    return response


def mount_page(app: FastAPI, chosen: Path | None) -> None:
    """Serve the page, from `chosen` if given; a page of one's own finds the server's element all the same.

    Must come last: it matches every remaining path.
    """
    if chosen is not None and page_directory(chosen) is None:
        logger.warning("CHATKIT_PAGE_DIR=%s has no index.html; `/` says so until it is there", chosen)
    app.include_router(router)
    app.mount("/", PageFiles(lambda: page_directory(chosen), lambda: page_directory(None)), name="page")
