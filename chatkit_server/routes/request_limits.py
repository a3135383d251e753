"""Limit the parts of a request that are not its body; the HTTP server limits the whole head."""

from starlette.types import Scope

from ..errors.http import TargetTooLong
from .limits import TARGET

COOKIES_BYTES = 2048
"""Up to this size, cookies with escapes are kept: Python before 3.11.10 decodes those in quadratic time."""


def limited(scope: Scope) -> Scope:
    """Return the request, perhaps without some of its cookies. Raises `TargetTooLong`."""
    if len(scope["path"]) > TARGET or len(scope.get("query_string", b"")) > TARGET:
        raise TargetTooLong
    for name, value in scope["headers"]:
        if name == b"cookie" and len(value) > COOKIES_BYTES:
            return {**scope, "headers": [(name, _plain(name, value)) for name, value in scope["headers"]]}
    return scope


def _plain(name: bytes, value: bytes) -> bytes:
    """Return the header; without those cookies that have an escape, if it is the header of cookies."""
    if name != b"cookie" or b"\\" not in value:
        return value
    return b";".join(cookie for cookie in value.split(b";") if b"\\" not in cookie)
