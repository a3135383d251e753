"""The model that the settings ask for, ready for `agents.RunConfig`, and its life."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from agents import ModelProvider, ModelSettings
from agents.models.default_models import get_default_model

from chatkit_server.models.client import make_client
from chatkit_server.models.demo import DemoProvider
from chatkit_server.models.endpoint import EndpointProvider
from chatkit_server.models.errors import ModelSetupError
from chatkit_server.models.info import ModelInfo
from chatkit_server.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
DEMO_NOTE = (
    "No model is set up: a script answers. Set OPENAI_API_KEY, or CHATKIT_BASE_URL and CHATKIT_MODEL, "
    "or CHATKIT_MODEL=embedded, and start again."
)


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Models:
    """One model provider for `RunConfig(model_provider=...)` and what the app needs to know about it.

    `async with models:` (or `start` and `aclose`) brackets its use.
    """

    provider: ModelProvider
    info: ModelInfo
    model_settings: ModelSettings = field(default_factory=ModelSettings)
    """Defaults for `RunConfig(model_settings=...)`."""
    history_tokens: int | None = None
    """How many tokens of history fit; None is no limit of ours."""
    starting: Callable[[], Awaitable[None]] = _nothing
    closing: Callable[[], Awaitable[None]] = _nothing

    async def start(self) -> None:
        """Begin what takes time (the embedded model loads in the background). Never waits for it, never raises."""
        await self.starting()

    async def aclose(self) -> None:
        """Close HTTP clients and end the embedded model's process. Safe to call twice."""
        await self.closing()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def open_models(settings: Settings) -> Models:
    """The model that `settings` ask for; nothing is started yet.

    Raises `ModelSetupError` for settings that cannot work; its text says what to change.
    """
    if settings.model == "demo":
        return _open_demo(settings)
    if settings.model == "embedded":
        return _open_embedded(settings)
    if settings.base_url is not None:
        return _open_compatible(settings, settings.base_url)
    if settings.openai_api_key is not None:
        return _open_endpoint(settings, name=settings.model or get_default_model(), base_url=OPENAI_URL)
    if settings.model is not None:
        raise ModelSetupError(
            f"CHATKIT_MODEL={settings.model} needs an endpoint: set OPENAI_API_KEY for OpenAI, or CHATKIT_BASE_URL "
            "for an OpenAI-compatible server; or set CHATKIT_MODEL to `embedded` or `demo`."
        )
    return _open_embedded(settings) if find_spec("xllamacpp") else _open_demo(settings)


def _open_demo(settings: Settings) -> Models:
    return Models(
        provider=DemoProvider(tokens_per_second=settings.demo_tokens_per_second),
        info=ModelInfo(provider="demo", name="demo", note=DEMO_NOTE),
    )


def _open_compatible(settings: Settings, base_url: str) -> Models:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ModelSetupError(f"CHATKIT_BASE_URL={base_url} must be a full URL such as http://127.0.0.1:11434/v1.")
    if settings.model is None:
        raise ModelSetupError("CHATKIT_BASE_URL is set, so CHATKIT_MODEL must name a model that is served there.")
    return _open_endpoint(settings, name=settings.model, base_url=base_url)


def _open_endpoint(settings: Settings, *, name: str, base_url: str) -> Models:
    official = urlsplit(base_url).hostname == "api.openai.com"
    api = settings.api or ("responses" if official else "chat_completions")
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    if official and not key:
        raise ModelSetupError("OpenAI's own endpoint needs a key: set OPENAI_API_KEY.")
    client = make_client(
        base_url=base_url,
        api_key=key or "no-key",  # the client insists on one, most local servers ignore it
        timeout=settings.model_timeout,
        max_retries=settings.model_retries,
    )
    return Models(
        provider=EndpointProvider(client, name=name, api=api),
        info=ModelInfo(provider="openai" if official else "compatible", name=name),
        model_settings=ModelSettings(include_usage=True if api == "chat_completions" else None),
        closing=client.close,
    )


def _open_embedded(settings: Settings) -> Models:
    raise ModelSetupError("The embedded model is not built yet: set OPENAI_API_KEY, or CHATKIT_MODEL=demo.")
