"""Only a trusted proxy may say from whom a request comes."""

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.types import Scope

from chatkit_server import Settings
from chatkit_server.auth.header_login import IGNORED, NAMES_USERS
from chatkit_server.routes.trusted_proxies import TrustedProxies

SECRET, NEXT_SECRET = "s" * 32, "n" * 32
Headers = list[tuple[str, str]]


def described(
    headers: Headers, client: tuple[str, int] | None = ("203.0.113.9", 5), kind: str = "http", **settings: Any
) -> Scope:
    """Return the request as the app gets it."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    scheme = "http" if kind == "http" else "ws"
    scope: Scope = {"type": kind, "scheme": scheme, "client": client, "headers": raw, "state": {}}
    return TrustedProxies(Settings(_env_file=None, **settings)).described(scope)


def forwarded(*values: str) -> Headers:
    return [("x-forwarded-for", value) for value in values] + [("x-forwarded-proto", "https")]


NETS: dict[str, Any] = {"trusted_proxies": "10.0.0.0/8,192.168.1.1,2001:db8::/32"}
INNER = ("10.0.0.5", 443)
BROWSER = "198.51.100.7"


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ([BROWSER], (BROWSER, 0)),
        ([f"{BROWSER}:4711"], (BROWSER, 4711)),
        ([f"6.6.6.6, {BROWSER}"], (BROWSER, 0)),  # what the client forged
        ([f"6.6.6.6, {BROWSER}, 192.168.1.1 , 10.9.9.9"], (BROWSER, 0)),
        (["6.6.6.6", f"{BROWSER}, 10.9.9.9"], (BROWSER, 0)),  # two headers are one list
        (["10.1.1.1, 10.2.2.2"], ("10.1.1.1", 0)),  # the client is within the network
        (["[2001:db8::7]:99"], ("2001:db8::7", 99)),
        (["2a00::1"], ("2a00::1", 0)),
        ([f"{BROWSER}, ::ffff:10.0.0.9"], (BROWSER, 0)),
        ([f"{BROWSER}, unknown, 10.9.9.9"], ("10.9.9.9", 0)),  # the nearest that is known
        (["unknown"], INNER),
        ([""], INNER),
        ([], INNER),
        (["x" * 60_000], INNER),
        ([f"{BROWSER}, " + "10.0.0.1, " * 5000 + "10.0.0.2"], ("10.0.0.1", 0)),
        ([f"{BROWSER}:99999999999999999999"], (BROWSER, 0)),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(values: list[str], address: tuple[str, int]) -> None:
    scope = described(forwarded(*values), INNER, **NETS)
    assert (scope["client"], scope["scheme"]) == (address, "https")


@pytest.mark.parametrize("client", [("203.0.113.9", 5), ("127.0.0.1", 5), ("11.0.0.1", 5), ("testclient", 5), None])
def test_others_cannot_choose_their_address_or_scheme(client: tuple[str, int] | None) -> None:
    scope = described(forwarded(BROWSER), client, **NETS)
    assert (scope["client"], scope["scheme"]) == (client, "http")


@pytest.mark.parametrize(
    ("client", "is_believed"),
    [(("127.0.0.1", 5), True), (("127.9.9.9", 5), True), (("::1", 5), True), (None, True), (("10.0.0.5", 5), False)],
)
def test_by_default_a_proxy_on_this_machine_is_believed(client: tuple[str, int] | None, is_believed: bool) -> None:
    user = [("x-forwarded-user", "ann")]
    scope = described(forwarded(BROWSER) + user, client)
    assert (scope["client"] == (BROWSER, 0), scope["scheme"] == "https") == (is_believed, is_believed)
    assert "x-forwarded-user" not in names(scope), "but nobody may name a user"


def test_a_proxy_may_connect_by_a_unix_socket() -> None:
    headers = [*forwarded(f"{BROWSER}, unix:"), ("x-forwarded-user", "ann")]
    scope = described(headers, None, trusted_proxies="unix")
    assert (scope["client"], names(scope)[-1]) == ((BROWSER, 0), "x-forwarded-user")
    assert (described(headers, ("127.0.0.1", 5), trusted_proxies="unix"))["client"] == ("127.0.0.1", 5)


@pytest.mark.parametrize(
    ("proto", "kind", "scheme"),
    [
        ("https", "http", "https"),
        ("HTTPS", "http", "https"),
        ("https", "websocket", "wss"),
        ("wss", "websocket", "wss"),
        ("http", "websocket", "ws"),
        ("https, http", "http", "http"),  # the nearest proxy's word
        ("javascript", "http", "http"),
        ("", "http", "http"),
    ],
)
def test_the_scheme_is_that_of_the_nearest_proxy(proto: str, kind: str, scheme: str) -> None:
    scope = described([("x-forwarded-proto", proto)], INNER, kind=kind, **NETS)
    assert scope["scheme"] == scheme


LOGIN: Headers = [
    ("x-forwarded-user", "ann"),
    ("x-tenant", "acme"),
    ("x-name", "Ann"),
    ("x-roles", "admin"),
]
LOGIN_SETTINGS: dict[str, Any] = {"header_tenant": "X-Tenant", "header_name": "x-name", "header_roles": "x-roles"}


def names(scope: Scope) -> list[str]:
    return [name.decode() for name, _ in scope["headers"]]


def proof(*secrets: str) -> Headers:
    return [("x-chatkit-proxy-secret", secret) for secret in secrets]


@pytest.mark.parametrize(
    ("client", "secrets", "settings", "names_users"),
    [
        (INNER, [], NETS, True),
        (INNER, [SECRET], NETS, True),  # this server has no secret to compare
        (("203.0.113.9", 5), [], NETS, False),
        (("203.0.113.9", 5), [SECRET], NETS, False),
        (("203.0.113.9", 5), [SECRET], {"header_secret": SECRET}, True),
        (("203.0.113.9", 5), [NEXT_SECRET], {"header_secret": f"{SECRET},{NEXT_SECRET}"}, True),
        (("203.0.113.9", 5), [SECRET + "x"], {"header_secret": SECRET}, False),
        (("203.0.113.9", 5), ["", "ä"], {"header_secret": SECRET}, False),
        (("203.0.113.9", 5), [SECRET, SECRET], {"header_secret": SECRET}, False),  # one is the client's guess
        (INNER, [], NETS | {"header_secret": SECRET}, False),  # the secret is needed if there is one
        (("127.0.0.1", 5), [], {"header_secret": SECRET}, False),
        (("127.0.0.1", 5), [], {}, False),
    ],
)
def test_only_a_trusted_proxy_may_name_the_user(
    client: tuple[str, int], secrets: list[str], settings: dict[str, Any], names_users: bool
) -> None:
    scope = described(LOGIN + proof(*secrets), client, **LOGIN_SETTINGS, **settings)
    assert names(scope) == ([name for name, _ in LOGIN] if names_users else []), "the secret goes no further"
    assert scope["state"][NAMES_USERS] is names_users
    assert (IGNORED in scope["state"]) is not names_users


def test_the_proxy_with_the_secret_states_address_and_scheme_too() -> None:
    headers = forwarded(BROWSER) + proof(SECRET)
    scope = described(headers, ("203.0.113.9", 5), header_secret=SECRET)
    assert (scope["client"], scope["scheme"]) == ((BROWSER, 0), "https")


def test_headers_of_nobodys_login_stay() -> None:
    others = [("x_forwarded_user", "ann"), ("x-forwarded-users", "ann"), ("cookie", "a=b")]
    assert (described(others))["headers"] == [(name.encode(), value.encode()) for name, value in others]


@pytest.mark.parametrize("entry", ["*", "0.0.0.0/0", "::/0", "nginx", "10.0.0.1/8", "unix:/run/x.sock"])
def test_what_is_no_address_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(_env_file=None, trusted_proxies=entry)


@pytest.mark.parametrize(
    ("name", "value"),
    [("header_user", "x_user"), ("header_user", "Cookie"), ("header_roles", ""), ("header_name", "ä")],
)
def test_what_is_no_header_of_a_proxy_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 32 characters"):
        Settings(_env_file=None, header_secret="short")
