"""Who sends a request: one door with several logins."""

from .door import Door
from .load import open_door
from .login import Login, User

__all__ = ["Door", "Login", "User", "open_door"]
