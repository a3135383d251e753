"""Who sends a request: one door with several logins."""

from .door import Door
from .load import open_door
from .login import Login, User
from .own_login import LoginFunction

__all__ = ["Door", "Login", "LoginFunction", "User", "open_door"]
