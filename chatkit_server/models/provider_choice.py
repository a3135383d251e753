"""Which provider the settings choose."""

from importlib.util import find_spec

from ..settings import Settings
from .model_info import ProviderName


def choose_provider(settings: Settings) -> ProviderName:
    """What CHATKIT_MODEL names; else the endpoint or the key that is set; else the embedded model; else the demo."""
    if settings.model == "demo":
        return "demo"
    if settings.model == "embedded":
        return "embedded"
    if settings.base_url is not None:
        return "compatible"
    if settings.model is not None or settings.openai_api_key is not None:
        return "openai"
    return "embedded" if find_spec("xllamacpp") else "demo"
