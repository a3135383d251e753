"""All settings of the server."""

from .settings import Settings, variables_of
from .unknown import unknown_settings

__all__ = ["Settings", "unknown_settings", "variables_of"]
