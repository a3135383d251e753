"""The URLs of endpoints in the settings."""

from urllib.parse import urlsplit

from ..errors.model_problem import place_of
from ..errors.setup import ModelSetupError
from ..settings import variable_of


def check_url(field: str, url: str) -> None:
    """Raise `ModelSetupError` for a URL to which no request can be sent. `field` is the setting that gave it."""
    variable = variable_of(field, url)
    try:
        parts = urlsplit(url)
        is_full = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is not a number
        is_full = False
    if not is_full:
        shown = url.rpartition("@")[2].partition("?")[0]  # what stands around it may be a password or a key
        raise ModelSetupError(f"{variable}={shown} must be a full URL such as http://127.0.0.1:11434/v1.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ModelSetupError(
            f"{variable} must be a URL without a user, a password, a query and a fragment, such as {place_of(url)}; "
            "a key is a setting of its own."
        )
