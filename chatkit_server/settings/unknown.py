"""Which variables were set: misspelled ones, which would be ignored silently, and the one that a value is from."""

from difflib import get_close_matches

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from .settings import PREFIX, Settings, variables_of
from .working_directory import ENV_FILE


def unknown_settings() -> list[str]:
    """Return a warning for each unknown `CHATKIT_` variable in the environment and the `.env` file."""
    variables = [variable for name in Settings.model_fields for variable in variables_of(name)]
    by_short_name = {variable.removeprefix(PREFIX): variable for variable in variables}
    warnings: dict[str, str] = {}
    for place, source in _sources().items():
        for name in sorted(map(str.upper, source.env_vars)):
            if name.startswith(PREFIX) and name not in variables:
                similar = get_close_matches(name.removeprefix(PREFIX), by_short_name, n=1)
                advice = f"; did you mean {by_short_name[similar[0]]}?" if similar else "."
                warnings.setdefault(name, f"{name}{place} is not a setting and is ignored{advice}")
    return list(warnings.values())


def variable_of(name: str, value: str | None) -> str:
    """Return the variable that gave a field its value, of those that can; else the field's `CHATKIT_` variable."""
    variables = variables_of(name)
    for source in _sources().values():
        for variable in variables:
            if value is not None and source.env_vars.get(variable.lower()) == value:
                return variable
    return variables[0]


def _sources() -> dict[str, EnvSettingsSource]:
    """Return the sources of variables by what to say of their place."""
    return {"": EnvSettingsSource(Settings), f" in {ENV_FILE}": DotEnvSettingsSource(Settings)}
