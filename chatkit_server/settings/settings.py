"""All settings of the server. Each has one field, one description and one environment variable."""

from pydantic import AliasChoices
from pydantic_settings import BaseSettings, SettingsConfigDict

from .access import AccessSettings
from .agent import AgentSettings
from .allowances import LimitSettings
from .files import FileSettings
from .jwt_tokens import JwtSettings
from .logins import LoginSettings
from .model import ModelSettings
from .serving import ServerSettings
from .turn_course import TurnSettings
from .working_directory import ENV_FILE

PREFIX = "CHATKIT_"


class Settings(  # pydantic takes the fields of the last base first
    TurnSettings,
    FileSettings,
    LimitSettings,
    AccessSettings,
    JwtSettings,
    LoginSettings,
    AgentSettings,
    ModelSettings,
    ServerSettings,
    BaseSettings,
):
    """The server's settings, from arguments, then the environment (prefix `CHATKIT_`), then a `.env` file.

    They are read once in `create_app` and passed on; nothing else reads the environment. Raises
    `pydantic.ValidationError` for a value that cannot work; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # may be a password
    )


def variables_of(name: str) -> list[str]:
    """Return the environment variables of a field, its `CHATKIT_` variable first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices if str(choice).isupper()]
    return [PREFIX + name.upper()]
