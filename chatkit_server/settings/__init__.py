"""All settings of the server."""

from .reference import env_example, json_schema
from .settings import Settings, variables_of
from .unknown import unknown_settings

__all__ = ["Settings", "env_example", "json_schema", "unknown_settings", "variables_of"]
