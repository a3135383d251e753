"""All settings of the server. Each has one field, one description and one environment variable."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

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

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, **values: Any) -> None:
            """Raises TypeError for an argument that is not a setting, with the nearest that is."""
            for name in values:
                if not name.startswith("_"):  # an option of pydantic-settings, such as `_env_file`
                    _check_name(name)
            super().__init__(**values)


def _check_name(name: str) -> None:
    """Raise TypeError for the name of an argument that would be ignored."""
    fields = Settings.model_fields
    if name in fields or any(name in variables_of(field) for field in fields if fields[field].validation_alias):
        return
    similar = get_close_matches(name.lower().removeprefix(PREFIX.lower()), fields, n=1)
    raise TypeError(f"Settings has no {name}{f'; did you mean {similar[0]}?' if similar else '.'}")


def variables_of(name: str) -> list[str]:
    """Return the environment variables of a field, its `CHATKIT_` variable first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices if str(choice).isupper()]
    return [PREFIX + name.upper()]
