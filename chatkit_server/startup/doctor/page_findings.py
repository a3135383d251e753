"""Whether the page arrives with its security headers, and its widget can be loaded."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

from ...routes.origin import is_loopback_name
from ...routes.security_headers import WIDGET
from ...settings import Settings
from .browser import Browser, Unreachable
from .finding import Finding

WIDGET_SCRIPT = f"{WIDGET}/deployments/chatkit/chatkit.js"
NEEDED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "",
    "content-security-policy": "frame-ancestors",
}
"""Headers of the page, and words that must be in them."""

SCRIPT = re.compile(r'<script[^>]+src="([^"]+\.js)"')
LOCAL_KEY = "domain_pk_localhost_dev"
NO_DOMAIN_KEY = (
    "The page has the domain key of local development, with which OpenAI's element shows no chat at {host}. Put {host} "
    "on OpenAI's allow-list and build the page with its key (VITE_CHATKIT_DOMAIN_KEY); or set CHATKIT_WIDGET=open."
)


async def examine_headers(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the security headers of the server reach the browser."""
    page = await browser.get("/", {"accept": "text/html", "sec-fetch-site": "none"})
    lost = [name for name in NEEDED if name not in page.headers or NEEDED[name] not in page.headers[name]]
    if lost:
        text = f"The proxy removes or replaces {' and '.join(lost)}: let it pass the server's headers on."
        yield Finding("headers", text, "WARN")
    else:
        yield Finding("headers", "the page arrives with its security headers")
    stored = page.headers.get("cache-control", "")
    if "private" not in stored and "no-store" not in stored:
        text = "The page arrives without `Cache-Control: private`: a cache on the way could give one user's to another."
        yield Finding("headers", text, "WARN")


async def examine_widget(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the script of OpenAI's element can be loaded from here, unless the page does not need it."""
    if settings.widget == "open":
        return
    try:
        answer = await browser.request("GET", WIDGET_SCRIPT)
        problem = "" if answer.status == 200 else f"status {answer.status}"
    except Unreachable as error:
        problem = str(error)
    if not problem:
        yield Finding("widget", "OpenAI's element can be loaded from here")
        if not is_loopback_name(browser.host) and await _has_local_key(browser):
            yield Finding("widget", NO_DOMAIN_KEY.format(host=browser.host), "WARN")
        return
    text = f"{WIDGET_SCRIPT} cannot be loaded from here ({problem}). "
    if settings.widget == "stock":
        yield Finding("widget", text + "Users in such a network see no chat: set CHATKIT_WIDGET=auto or open.", "WRONG")
    else:
        yield Finding("widget", text + "In such a network the page shows the open element, after a try.", "WARN")


async def _has_local_key(browser: Browser) -> bool:
    """Return whether the scripts of the page have no other domain key than that of local development."""
    page = await browser.get("/", {"accept": "text/html", "sec-fetch-site": "none"})
    scripts = [urljoin(f"{browser.url}/", path) for path in SCRIPT.findall(page.body)]
    text = "".join([(await browser.request("GET", url)).body for url in scripts if url.startswith(browser.url)])
    return LOCAL_KEY in text and not text.replace(LOCAL_KEY, "").count("domain_pk_")
