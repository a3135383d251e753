"""Whether tokens arrive as they are sent, and WebSockets can be opened."""

from collections.abc import AsyncIterator

from ...routes.stream_probe import SERVER
from ...settings import Settings
from .browser import Arrival, Browser
from .finding import Finding

PASSED_ON = 0.5
"""The part of the server's pauses that must still be there when the events arrive."""
BUFFERING = (
    "The proxy keeps streams back: events sent within {sent} ms arrived within {arrived} ms, so an answer appears only "
    "at its end. Turn its buffering off for text/event-stream, and compression as well (nginx: `proxy_buffering off;`, "
    "and no `proxy_ignore_headers X-Accel-Buffering;`; Apache: `flushpackets=on`)."
)


async def examine_stream(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether a stream of four events arrives with its pauses, and what the server knows of the connection."""
    answer, arrivals = await browser.events("/api/stream/probe")
    if answer.status == 429:
        yield Finding("stream", "The server had too many of these requests: try again in a minute.", "WARN")
        return
    if len(arrivals) < 2 or any(arrival.data.get("server") != SERVER for arrival in arrivals):
        text = f"/api/stream/probe answers {answer.status}, and not as this version does. Update the server."
        yield Finding("stream", text, "WRONG")
        return
    yield _pauses(arrivals)
    if "gzip" in answer.headers.get("content-encoding", "") or "br" in answer.headers.get("content-encoding", ""):
        text = "The proxy compresses streams, which delays tokens. Exclude text/event-stream."
        yield Finding("stream", text, "WARN")
    scheme = arrivals[0].data.get("scheme")
    if browser.scheme == "https" and scheme != "https":
        text = (
            f"The server takes the browser's connection for {scheme}. Tell it (nginx: `proxy_set_header "
            "X-Forwarded-Proto $scheme;`), and name the proxy in CHATKIT_TRUSTED_PROXIES."
        )
        yield Finding("https", text, "WARN")


def _pauses(arrivals: list[Arrival]) -> Finding:
    first, last = arrivals[0], arrivals[-1]
    sent = int(last.data.get("after_ms", 0)) - int(first.data.get("after_ms", 0))
    arrived = round((last.at - first.at) * 1000)
    if arrived < sent * PASSED_ON:
        return Finding("stream", BUFFERING.format(sent=sent, arrived=arrived), "WRONG")
    return Finding("stream", "events arrive as they are sent")


async def examine_websocket(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the proxy passes the handshake of a WebSocket on."""
    answer = await browser.upgrade("/api/stream/ws")
    if answer.status == 101:
        yield Finding("websocket", "opens")
    elif answer.code in ("not_authenticated", "too_many_sockets", "too_many_requests"):
        yield Finding("websocket", f"passes the proxy; without a login the server answers {answer.status}")
    elif answer.code == "foreign_origin":
        text = (
            f"The server takes {browser.origin} for a foreign page. Pass the browser's name on (nginx: "
            "`proxy_set_header Host $host;`), or set CHATKIT_PUBLIC_URL to that address."
        )
        yield Finding("websocket", text, "WRONG")
    else:
        text = (
            f"WebSockets do not pass the proxy: /api/stream/ws answers {answer.status} (nginx: `proxy_http_version "
            '1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`). The page and the '
            "element do not need them."
        )
        yield Finding("websocket", text, "WARN")
