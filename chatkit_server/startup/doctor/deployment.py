"""`doctor --url`: what a browser finds at the address of a deployed server, beyond its proxies."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from ...routes.origin import is_loopback_name
from ...settings import Settings
from .browser import Browser, Unreachable, open_browser
from .finding import Finding
from .page_findings import examine_headers, examine_widget
from .sharing_findings import examine_cookies, examine_other_origins
from .stream_findings import examine_stream, examine_websocket

TOO_LARGE = 413
PLAIN_PORT = 80
STRANGER = "doctor.invalid"
"""A name that the server must not answer to."""
HTTPS_PORTS = (None, 443)


async def examine_url(url: str, settings: Settings) -> AsyncIterator[Finding]:
    """Yield each finding as it is made. Sends no message, needs no login and changes nothing.

    The settings say which origins and element to try; they need not be those of the server at `url`.
    """
    if not url.lower().startswith(("http://", "https://")) or not urlsplit(url).hostname:
        yield Finding("url", f"{url} is not a URL such as https://chat.example.com", "WRONG")
        return
    async with open_browser(url) as browser:
        reached = await _reach(browser)
        yield reached
        if reached.mark == "WRONG":
            return
        checks = (
            _names,
            _encryption,
            _public_url,
            examine_stream,
            examine_websocket,
            _uploads,
            examine_headers,
            examine_cookies,
            examine_other_origins,
            examine_widget,
        )
        for check in checks:
            try:
                async for finding in check(browser, settings):
                    yield finding
            except Unreachable as error:
                yield Finding("url", f"{browser.url} stopped answering: {error}", "WRONG")


async def _reach(browser: Browser) -> Finding:
    try:
        answer = await browser.get("/healthz")
    except Unreachable as error:
        return Finding("url", f"{browser.url} cannot be reached from here: {error}", "WRONG")
    if "location" in answer.headers:
        target = answer.headers["location"].removesuffix("/healthz")
        return Finding("url", f"{browser.url} redirects to {target}: give the address that pages use.", "WRONG")
    if answer.status != 200 or answer.json.get("status") != "ok" or "x-request-id" not in answer.headers:
        text = (
            f"{browser.url}/healthz answers {answer.status}, and not as a chatkit-server does. Make sure that the "
            "server runs, and that the proxy passes all paths on to it."
        )
        return Finding("url", text, "WRONG")
    return Finding("url", f"a chatkit-server answers at {browser.url}")


async def _names(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    own = await browser.get("/api/chatkit/options")
    if own.code == "foreign_host":
        text = (
            f"The server refuses the name under which it gets requests for {browser.host}. Pass the browser's on "
            "(nginx: `proxy_set_header Host $host;`), or set CHATKIT_PUBLIC_URL or CHATKIT_ALLOWED_HOSTS."
        )
        yield Finding("host", text, "WRONG")
        return
    try:
        other = await browser.get("/api/chatkit/options", {"host": STRANGER})
    except Unreachable:
        other = None
    if other is not None and "x-request-id" in other.headers and other.code != "foreign_host":
        text = (
            f"Requests for another name ({STRANGER}) are served as well, so a web page could point a name of its own "
            "at the server. Pass the browser's name on (nginx: `proxy_set_header Host $host;`), and do not use "
            "CHATKIT_ALLOWED_HOSTS=*."
        )
        yield Finding("host", text, "WARN")
    else:
        yield Finding("host", f"requests for {browser.host} are served, those for another name are not")


async def _encryption(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    if browser.scheme == "http":
        if is_loopback_name(browser.host):
            yield Finding("https", "not used on this machine")
        else:
            text = "Everybody on the way can read messages and take over cookies. Use https://, with a certificate."
            yield Finding("https", text, "WARN")
        return
    yield Finding("https", "the certificate is trusted from here")
    if browser.port not in HTTPS_PORTS:
        return
    try:
        plain = await browser.request("GET", browser.plain_url(PLAIN_PORT))
    except Unreachable:
        yield Finding("https", "http:// is not served")
        return
    if plain.headers.get("location", "").lower().startswith("https://"):
        yield Finding("https", "http:// is redirected")
    else:
        text = f"http://{browser.host} answers {plain.status}. Redirect it (nginx: `return 301 https://$host$request_uri;`)."
        yield Finding("https", text, "WARN")


async def _public_url(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    if settings.public_url and settings.public_url.rstrip("/").lower() != browser.url.lower():
        text = (
            f"CHATKIT_PUBLIC_URL here is {settings.public_url}, not {browser.url}: the URLs of files lead there. "
            "Ignore this if the server has other settings than this command."
        )
        yield Finding("public url", text, "WARN")


async def _uploads(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    if not settings.attachments:
        return
    size = settings.attachment_max_bytes
    answer = await browser.announce_upload("/api/attachments/atc_doctor/content", size)
    if answer is not None and answer[0] == TOO_LARGE and "x-request-id:" not in answer[1]:
        text = (
            f"The proxy refuses files of {size} bytes, which CHATKIT_ATTACHMENT_MAX_BYTES allows "
            f"(nginx: `client_max_body_size {size // 2**20 + 1}m;`)."
        )
        yield Finding("uploads", text, "WRONG")
    else:
        yield Finding("uploads", f"files of {size} bytes pass")
