"""The model that the settings ask for, ready for `agents.RunConfig`, and its life."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self, assert_never
from urllib.parse import urlsplit

from agents import Agent, Model, ModelProvider, ModelSettings, set_tracing_export_api_key
from agents.models.default_models import get_default_model

from ..errors.setup import ModelSetupError
from ..settings import Settings
from .demo import DemoProvider
from .embedded import EmbeddedModel, EmbeddedProcess, EmbeddedProvider
from .embedded.embedded_model import MAX_TOKENS
from .endpoint import EndpointProvider
from .model_info import ModelInfo
from .openai_client import make_client
from .provider_choice import choose_provider
from .transcription import Transcriber, open_transcriber

OPENAI_URL = "https://api.openai.com/v1"
EMBEDDED_NOTE = (
    "A small model that runs on this machine: it is often wrong and cannot use tools. Set OPENAI_API_KEY, or "
    "CHATKIT_BASE_URL and CHATKIT_MODEL, for a capable one."
)
DEMO_NOTE = (
    "No model is set up: a script answers. Set OPENAI_API_KEY, or CHATKIT_BASE_URL and CHATKIT_MODEL, "
    "or CHATKIT_MODEL=embedded, and start again."
)
CHOSEN_DEMO_NOTE = (
    "CHATKIT_MODEL=demo: a script answers, not a model. For one, set CHATKIT_MODEL and OPENAI_API_KEY or "
    "CHATKIT_BASE_URL, or CHATKIT_MODEL=embedded, and start again."
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
    starting: Callable[[], Awaitable[None]] = _nothing
    closing: Callable[[], Awaitable[None]] = _nothing
    base_url: str | None = None
    """Where the model's endpoint is; None for one that has none."""
    transcriber: Transcriber | None = None

    def origin(self, agent: Agent[Any], chosen: str | None = None) -> str | None:
        """Where this agent's answers come from, if it is a place that knows its items by their ids; else None.

        `chosen` is a model that all agents of the run use (`RunConfig.model`).

        Where two origins are equal, reasoning that one gave can go back to the other.
        """
        name = chosen or agent.model
        model = name if isinstance(name, Model) else self.provider.get_model(name)
        origin: str | None = getattr(model, "origin", None)
        stores = self.model_settings.resolve(agent.model_settings).store is not False
        return origin if stores else None

    def name_for(self, agent: Agent[Any], chosen: str | None = None) -> str:
        """The name of the model that answers for this agent; `chosen` as for `origin`."""
        name = chosen or agent.model
        if isinstance(name, Model):
            return str(getattr(name, "model", None) or type(name).__name__)
        return name if name and self.info.provider in ("openai", "compatible") else self.info.name

    async def start(self) -> None:
        """Begin what takes time (the embedded model loads in the background). Never waits for it, never raises."""
        await self.starting()

    async def aclose(self) -> None:
        """Close HTTP clients and end the embedded model's process. Safe to call twice."""
        await self.closing()
        if self.transcriber is not None:
            await self.transcriber.aclose()

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
    match choose_provider(settings):
        case "demo":
            models = _open_demo(settings)
        case "embedded":
            models = _open_embedded(settings)
        case "compatible":
            models = _open_compatible(settings)
        case "openai":
            models = _open_openai(settings)
        case unknown:
            assert_never(unknown)
    models.transcriber = open_transcriber(settings, models.base_url)
    if settings.tracing:
        _open_tracing(settings, models.info)
    return models


def _open_tracing(settings: Settings, info: ModelInfo) -> None:
    """Gives the Agents SDK the key for its uploads, which it looks for in the environment only.

    Only OpenAI's own key: another endpoint's is none of OpenAI's business.
    """
    if info.provider != "openai" or settings.openai_api_key is None:
        raise ModelSetupError(
            f"CHATKIT_TRACING=true uploads traces to OpenAI, but the answers come from {info.name} ({info.provider}), "
            "so there is no key of OpenAI's to do it with: turn CHATKIT_TRACING off, or use OpenAI's own endpoint."
        )
    set_tracing_export_api_key(settings.openai_api_key.get_secret_value())


def _open_openai(settings: Settings) -> Models:
    if settings.openai_api_key is None:
        raise ModelSetupError(
            f"CHATKIT_MODEL={settings.model} needs an endpoint: set OPENAI_API_KEY for OpenAI, or CHATKIT_BASE_URL "
            "for an OpenAI-compatible server; or set CHATKIT_MODEL to `embedded` or `demo`."
        )
    return _open_endpoint(settings, name=settings.model or get_default_model(), base_url=OPENAI_URL)


def _open_demo(settings: Settings) -> Models:
    return Models(
        provider=DemoProvider(tokens_per_second=settings.demo_tokens_per_second),
        info=ModelInfo(provider="demo", name="demo", note=CHOSEN_DEMO_NOTE if settings.model else DEMO_NOTE),
    )


def _open_compatible(settings: Settings) -> Models:
    base_url = settings.base_url or ""
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
        provider=EndpointProvider(client, name=name, api=api, choices=[model.id for model in settings.models]),
        info=ModelInfo(provider="openai" if official else "compatible", name=name),
        model_settings=ModelSettings(include_usage=True if api == "chat_completions" else None),
        closing=client.close,
        base_url=base_url,
    )


def _open_embedded(settings: Settings) -> Models:
    if not find_spec("xllamacpp"):
        raise ModelSetupError(
            "CHATKIT_MODEL=embedded needs the engine: pip install 'chatkit-server[embedded]', or set OPENAI_API_KEY, "
            "or CHATKIT_MODEL=demo."
        )
    own = settings.embedded_model_path
    if own is not None:
        _check_gguf(own)
    if len(settings.models) > 1:
        raise ModelSetupError("CHATKIT_MODELS offers a choice, but CHATKIT_MODEL=embedded runs one model only.")
    name = own.stem if own else "SmolLM2-135M-Instruct"
    context = settings.embedded_context
    process = EmbeddedProcess(
        (lambda: own) if own else partial(_fetched_weights, settings.data_dir),
        name=name,
        context=context,
        timeout=settings.model_timeout,
    )
    return Models(
        provider=EmbeddedProvider(EmbeddedModel(process, name=name, context=context), name),
        info=ModelInfo(provider="embedded", name=name, note=EMBEDDED_NOTE, tools=False, reads=frozenset()),
        model_settings=ModelSettings(temperature=0.2, top_p=0.9, max_tokens=MAX_TOKENS, include_usage=True),
        starting=process.start,
        closing=process.aclose,
    )


def _fetched_weights(data_dir: Path) -> Path:
    # Imported here: `python -m chatkit_server.models.weights` warns where its package imports it before.
    from .weights import ensure_weights

    return ensure_weights(data_dir)


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelSetupError(f"CHATKIT_EMBEDDED_MODEL_PATH={path} cannot be read: {error.strerror}.") from error
    if magic != b"GGUF":
        raise ModelSetupError(f"CHATKIT_EMBEDDED_MODEL_PATH={path} is not a GGUF file.")
