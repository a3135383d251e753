"""Whether browsers keep the cookie, and which other pages may call the server."""

from collections.abc import AsyncIterator
from http.cookies import CookieError, Morsel, SimpleCookie

from ...settings import Settings
from .browser import Answer, Browser
from .finding import Finding

FOREIGN_PAGE = "https://page.of.a.stranger.invalid"
ASKED_HEADERS = "content-type,authorization,chatkit-frame-instance-id"
PAGE = {"accept": "text/html", "sec-fetch-site": "none"}


async def examine_cookies(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the cookie of an anonymous visitor arrives whole, and is accepted when it is sent back."""
    cookies = _cookies((await browser.get("/", PAGE)).cookies)
    if not cookies:
        yield Finding("cookies", "the page sets none without a login")
        return
    for name, cookie in cookies.items():
        faults = list(_faults(name, cookie, is_https=browser.scheme == "https"))
        for fault in faults:
            yield Finding("cookies", f"{name}: {fault}", "WRONG")
        sent = f"{name}={cookie.value}"
        again = _cookies((await browser.get("/", {**PAGE, "cookie": sent})).cookies).get(name)
        if again is not None and _user_of(again.value) != _user_of(cookie.value):
            text = (
                f"{name} is not accepted when it is sent back, so each load of the page is a new user. Let the proxy "
                "pass `Cookie` on, and give all servers the same CHATKIT_SECRETS."
            )
            yield Finding("cookies", text, "WRONG")
        elif not faults:
            yield Finding("cookies", f"{name} is kept and sent back")


def _cookies(values: list[str]) -> dict[str, "Morsel[str]"]:
    jar: SimpleCookie = SimpleCookie()
    for value in values:
        try:
            jar.load(value)
        except CookieError:
            continue
    return dict(jar)


def _faults(name: str, cookie: "Morsel[str]", *, is_https: bool) -> list[str]:
    advice = "set CHATKIT_PUBLIC_URL to the https:// address, and let the proxy leave Set-Cookie as it is."
    faults = []
    if is_https and not (cookie["secure"] and name.startswith("__Host-")):
        faults.append(f"is neither Secure nor bound to this host by its name (`__Host-`): {advice}")
    if not is_https and cookie["secure"]:
        faults.append("is Secure, so browsers drop it on http://. Use the https:// address.")
    if not cookie["httponly"] or cookie["samesite"].lower() not in ("lax", "strict"):
        faults.append("lacks HttpOnly or SameSite=Lax: let the proxy leave Set-Cookie as it is.")
    if name.startswith("__Host-") and (cookie["path"] != "/" or cookie["domain"]):
        faults.append("has a Domain, or a Path other than /, so browsers drop it: let the proxy leave it as it is.")
    return faults


def _user_of(value: str) -> str:
    """Return a signed value without its signature, which another key of CHATKIT_SECRETS may have made."""
    return value.strip('"').rpartition(".")[0]


async def examine_other_origins(browser: Browser, settings: Settings) -> AsyncIterator[Finding]:
    """Yield for each origin of CHATKIT_CORS_ORIGINS whether its pages may call, and whether a stranger's may."""
    for origin in settings.cors_origins:
        yield await _admitted(browser, FOREIGN_PAGE if origin == "*" else origin, with_cookies=origin != "*")
    if "*" in settings.cors_origins:
        return
    answer = await _preflight(browser, FOREIGN_PAGE)
    allowed = answer.headers.get("access-control-allow-origin")
    if allowed in (FOREIGN_PAGE, "*"):
        text = (
            f"Pages of any origin are admitted ({allowed}), which CHATKIT_CORS_ORIGINS does not say. Let the proxy add "
            "no Access-Control- headers."
        )
        yield Finding("cors", text, "WRONG" if answer.headers.get("access-control-allow-credentials") else "WARN")
    else:
        yield Finding("cors", "pages of other origins are refused")


async def _admitted(browser: Browser, origin: str, *, with_cookies: bool) -> Finding:
    preflight = await _preflight(browser, origin)
    answer = await browser.get("/api/chatkit/options", {"origin": origin, "sec-fetch-site": "cross-site"})
    for kind, response in (("the preflight", preflight), ("an answer", answer)):
        allowed = response.headers.get("access-control-allow-origin", "")
        if "," in allowed:
            text = f"{kind} for {origin} has two Access-Control-Allow-Origin: let the proxy add none."
            return Finding("cors", text, "WRONG")
        if allowed not in (origin, "*"):
            text = (
                f"{kind} for {origin} has status {response.status} and admits {allowed or 'no origin'}. Let the proxy "
                "pass OPTIONS and Origin on, and make sure that the server has this CHATKIT_CORS_ORIGINS."
            )
            return Finding("cors", text, "WRONG")
        if with_cookies and response.headers.get("access-control-allow-credentials") != "true":
            text = f"{kind} for {origin} admits no cookies: does the proxy replace Access-Control-Allow-Credentials?"
            return Finding("cors", text, "WRONG")
    return Finding("cors", f"pages of {origin} may call" if with_cookies else "pages of any origin may call")


async def _preflight(browser: Browser, origin: str) -> Answer:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": ASKED_HEADERS,
        "sec-fetch-site": "cross-site",
    }
    return await browser.request("OPTIONS", f"{browser.url}/chatkit", headers)
