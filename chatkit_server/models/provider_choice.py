"""Choose the model provider from the settings."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from ..settings import Settings
from .model_info import ProviderName


def choose_provider(settings: Settings) -> ProviderName:
    """Return the provider that CHATKIT_MODEL, else CHATKIT_BASE_URL or OPENAI_API_KEY, selects.

    Without any of them, the embedded model if its engine is installed, else the demo.
    """
    if settings.model == "demo":
        return "demo"
    if settings.model == "embedded":
        return "embedded"
    if settings.base_url is not None:
        return "compatible"
    if settings.model is not None or settings.openai_api_key is not None:
        return "openai"
    return "embedded" if find_spec("xllamacpp") else "demo"


def is_openai(base_url: str) -> bool:
    """Return whether an endpoint is OpenAI's own, such as https://eu.api.openai.com/v1, with all that it offers."""
    host = urlsplit(base_url).hostname or ""
    return f".{host}".endswith(".api.openai.com")
