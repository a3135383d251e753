"""The headers that every response has, unless its route sets its own."""

from collections.abc import Collection

from ..settings import Settings

WIDGET = "https://cdn.platform.openai.com"
"""The stock element's script and its iframe."""

CONNECTIONS = "connect-src 'self' https: http: data: blob:"
"""Uploads may go to a storage elsewhere."""

OPEN_ELEMENT = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' https: http: data: blob:",  # of answers and widgets, which may come from anywhere
        CONNECTIONS,
        "font-src 'self' https: data:",
        "frame-src 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types lit-html chatkit-page",  # the last one loads the element itself
    )
)
"""What a page with the open element loads: no inline script or style, and nothing of OpenAI."""


class SecurityHeaders:
    """The headers for responses that do not set their own of the same name."""

    def __init__(self, settings: Settings) -> None:
        defaults = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "strict-origin-when-cross-origin",
            "cache-control": "private, no-store",
            "content-security-policy": frame_ancestors(settings),
            "cross-origin-resource-policy": "same-origin",  # no page of another site loads it as a script or picture
        }
        self._defaults = [(name.encode(), value.encode("latin-1")) for name, value in defaults.items()]

    def missing_from(self, names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the headers that a response with headers of these names does not have."""
        return [header for header in self._defaults if header[0] not in names]


def frame_ancestors(settings: Settings) -> str:
    """Return the policy of which pages may show a response in a frame: our own, and those that may call the server."""
    origins = [origin for origin in settings.cors_origins if "://" in origin]
    return " ".join(["frame-ancestors 'self'", *origins])


def page_policy(settings: Settings) -> str:
    """Return the policy of the page at `/`; a page of CHATKIT_PAGE_DIR may load scripts and frames from anywhere."""
    common = f"{frame_ancestors(settings)}; base-uri 'self'; object-src 'none'; form-action 'self'"
    if settings.page_dir is not None:
        return common
    if settings.widget != "open":
        return f"{common}; script-src 'self' {WIDGET}; frame-src 'self' {WIDGET}; {CONNECTIONS}"
    return f"{common}; {OPEN_ELEMENT}"
