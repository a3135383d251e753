"""CHATKIT_AUTH: from names to the door."""

from chatkit_store import ChatSessionStore

from ..errors.setup import SetupError
from ..limits.new_users import NewUsers
from ..settings import Settings
from .addresses import Addresses
from .anonymous import Anonymous
from .door import Door
from .header_login import open_header_login
from .login import Login
from .own_login import LoginFunction, OwnLogin, load_own_login
from .session_login import SessionLogin
from .signing_keys import load_signing_keys


def open_door(settings: Settings, login: LoginFunction | None = None, sessions: ChatSessionStore | None = None) -> Door:
    """Return the door with the logins of the settings; or with `login`, and besides it only client secrets.

    Raises `SetupError` for an unavailable mode, such as `session` without `sessions`, or without a signing key.
    """
    if login is not None:
        logins = [_login(mode, settings, sessions) for mode in settings.auth if mode == "session"]
        own = OwnLogin(login, "The login of create_app(auth=...)")
        return Door([*logins, own], None, context_headers=settings.context_headers)
    modes = [mode for mode in settings.auth if mode != "none"]
    anonymous = None
    if "none" in settings.auth:
        anonymous = Anonymous(
            load_signing_keys(settings),
            NewUsers(settings.new_users_per_minute),
            is_https=(settings.public_url or "").lower().startswith("https:"),
        )
    logins = [_login(mode, settings, sessions) for mode in modes]
    return Door(logins, anonymous, context_headers=settings.context_headers)


def _login(mode: str, settings: Settings, sessions: ChatSessionStore | None) -> Login:
    if mode == "session" and sessions is not None:
        return SessionLogin(sessions, Addresses(load_signing_keys(settings)))
    if mode == "jwt":
        from .jwt_setup import open_jwt_login  # imports cryptography, which others do without

        return open_jwt_login(settings)
    if mode == "header":
        return open_header_login(settings)
    if ":" in mode:
        return load_own_login(mode)
    raise SetupError(f"CHATKIT_AUTH={mode} is not available in this version; use CHATKIT_AUTH=none.")
