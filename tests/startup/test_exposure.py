"""What a server must have that strangers can reach, and what is reported of it."""

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from chatkit_server import User, create_app
from chatkit_server.auth.signing_keys import is_guessable
from chatkit_server.errors.setup import SetupError
from chatkit_server.startup.exposure import exposure_warnings, production_demands, refuse_open_address
from tests.serving import PRODUCTION, make_settings

RANDOM = "8f4e1b0a97c35d62e8f0b1a4c7d9e6f2835a0b4c1d7e9f68"
SAFE = PRODUCTION | {"secrets": RANDOM}


@pytest.mark.parametrize(
    ("lacking", "settings"),
    [
        ([], {}),
        ([], {"allow_anonymous": False, "auth": "session"}),
        (["CHATKIT_SECRETS"], {"secrets": []}),
        (["CHATKIT_AUTH"], {"allow_anonymous": False}),
        (["CHATKIT_AUTH"], {"allow_anonymous": False, "auth": "jwt,none"}),
        (["CHATKIT_PUBLIC_URL"], {"public_url": None}),
        (["CHATKIT_PUBLIC_URL"], {"public_url": None, "allowed_hosts": "*"}),
        ([], {"allowed_hosts": "*"}),
        ([], {"environment": "development", "secrets": [], "public_url": None, "allow_anonymous": False}),
    ],
)
def test_production_demands_what_keeps_it_safe(tmp_path: Path, lacking: list[str], settings: dict[str, Any]) -> None:
    demands = list(production_demands(make_settings(tmp_path, **SAFE | settings)))
    assert [demand.split()[1] for demand in demands] == lacking


def test_an_app_of_production_is_not_made_without_them(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="not safe with these settings:\n- Set CHATKIT_AUTH to the way your users"):
        create_app(make_settings(tmp_path, **SAFE | {"allow_anonymous": False}))


def test_a_login_of_the_apps_own_needs_no_setting(tmp_path: Path) -> None:
    async def login(request: HTTPConnection) -> User | None:
        return None

    create_app(make_settings(tmp_path, **SAFE | {"allow_anonymous": False}), auth=login)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "chat.intra.example", "127.0.0.1.example"])
def test_an_address_that_strangers_reach_needs_a_login_or_the_word_that_none_is_wanted(
    tmp_path: Path, host: str
) -> None:
    with pytest.raises(SetupError, match="CHATKIT_ALLOW_ANONYMOUS=true"):
        refuse_open_address(make_settings(tmp_path, host=host))
    with pytest.raises(SetupError, match="CHATKIT_AUTH=none lets everybody"):
        refuse_open_address(make_settings(tmp_path, host=host, auth="jwt,none"))
    refuse_open_address(make_settings(tmp_path, host=host, auth="jwt"))
    refuse_open_address(make_settings(tmp_path, host=host, allow_anonymous=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "chat.localhost"])
def test_this_machine_needs_none(tmp_path: Path, host: str) -> None:
    refuse_open_address(make_settings(tmp_path, host=host))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"environment": "development", "host": "127.0.0.1", "tracing": True, "secrets": "x" * 32}, []),
        (SAFE, []),
        (SAFE | {"public_url": "http://127.0.0.1:8000"}, []),
        (SAFE | {"public_url": "http://chat.example"}, ["CHATKIT_PUBLIC_URL=http://chat.example is not encrypted"]),
        (SAFE | {"allowed_hosts": "*"}, ["answers under any name"]),
        (SAFE | {"cors_origins": "*"}, ["CHATKIT_CORS_ORIGINS=*"]),
        (SAFE | {"secrets": f"{RANDOM},{'x' * 32}"}, ["CHATKIT_SECRETS has a value that can be guessed"]),
        (SAFE | {"header_secret": "x" * 32}, ["CHATKIT_HEADER_SECRET has a value that can be guessed"]),
        (SAFE | {"auth": "jwt", "jwt_audience": "*"}, ["CHATKIT_JWT_AUDIENCE=* accepts tokens"]),
        ({"jwt_secret": RANDOM}, ["CHATKIT_JWT_SECRET is set, but CHATKIT_AUTH=none does not use it. Add `jwt` to"]),
        (SAFE | {"auth": "session", "jwt_issuer": "https://a.example"}, ["CHATKIT_JWT_ISSUER is set, but"]),
        (SAFE | {"log_level": "DEBUG"}, ["CHATKIT_LOG_LEVEL=DEBUG"]),
        (SAFE | {"tracing": True}, ["CHATKIT_TRACING=true"]),
        ({"host": "0.0.0.0", "allow_anonymous": True, "secrets": RANDOM, "tracing": True}, ["CHATKIT_TRACING=true"]),
    ],
)
def test_what_is_weak_is_a_warning(tmp_path: Path, settings: dict[str, Any], words: list[str]) -> None:
    warnings = exposure_warnings(make_settings(tmp_path, **settings))
    assert len(warnings) == len(words)
    for expected, warning in zip(words, warnings, strict=True):
        assert expected in warning


@pytest.mark.parametrize(
    ("secret", "can_be_guessed"),
    [
        (RANDOM, False),
        ("QmFzZTY0IG9mIHJhbmRvbSBieXRlcyBpcyBmaW5lIQ==", False),
        ("ab" * 20, True),
        ("0123456789abcdef0123456789abcdef", True),
        ("change-me-change-me-before-you-go-live", True),
        ("a secret that is only for the tests", True),
    ],
)
def test_a_secret_that_somebody_wrote_can_be_guessed(secret: str, can_be_guessed: bool) -> None:
    assert is_guessable(secret) == can_be_guessed
