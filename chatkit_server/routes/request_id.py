"""Give every request an id: in the log, in error bodies, and in the `x-request-id` header of the response."""

import os
import re
from collections.abc import Sequence

from starlette.types import Scope

from ..context import current_request_id

HEADER = b"x-request-id"
_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def give_id(scope: Scope) -> str:
    """Return the id of a request, and set it for the current task and in `request.state`.

    An id that is safe to log is kept: that of the app around this one, in `request.state.request_id`, or an
    `x-request-id` set by a proxy.
    """
    state = scope.setdefault("state", {})
    request_id = _earlier_id(str(state.get("request_id", "")), scope["headers"]) or os.urandom(8).hex()
    state["request_id"] = request_id
    # Not reset at the end: each request has a task of its own, and uvicorn logs an unhandled exception there.
    current_request_id.set(request_id)
    return request_id


def _earlier_id(of_outer_app: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    if of_outer_app and _SAFE.fullmatch(of_outer_app):
        return of_outer_app
    for name, value in headers:
        if name == HEADER:
            of_proxy = value.decode("latin-1")
            return of_proxy if _SAFE.fullmatch(of_proxy) else None
    return None
