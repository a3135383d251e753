"""All settings of the server."""

from .reference import env_example, json_schema
from .settings import Settings, variables_of
from .unknown import unknown_settings, variable_of

__all__ = ["Settings", "env_example", "json_schema", "unknown_settings", "variable_of", "variables_of"]
