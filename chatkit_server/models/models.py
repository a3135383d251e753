"""Open the model that the settings select, ready for `agents.RunConfig`, and manage its lifetime."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, assert_never
from urllib.parse import urlsplit

from agents import Agent, Model, ModelProvider, ModelSettings, set_tracing_export_api_key
from agents.models.default_models import get_default_model
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from ..errors.setup import ModelSetupError
from ..settings import Settings
from .client.events import ANSWER_CLASSES
from .client.openai_client import make_client
from .demo import DemoProvider
from .embedded import EmbeddedModel, EmbeddedProcess, EmbeddedProvider
from .embedded.embedded_model import MAX_TOKENS
from .endpoint import EndpointProvider
from .endpoint_url import check_url
from .model_info import ModelInfo
from .provider_choice import choose_provider, is_openai
from .transcription import Transcriber, open_transcriber

OPENAI_URL = "https://api.openai.com/v1"
EMBEDDED_NOTE = (
    "A small model that runs on this machine: it is often wrong and cannot use tools. Set OPENAI_API_KEY, or "
    "CHATKIT_BASE_URL and CHATKIT_MODEL, for a capable one."
)
DEMO_NOTE = (
    "No model is configured: a script answers. Set OPENAI_API_KEY, or CHATKIT_BASE_URL and CHATKIT_MODEL, "
    "or CHATKIT_MODEL=embedded, and restart."
)
CHOSEN_DEMO_NOTE = (
    "CHATKIT_MODEL=demo: a script answers, not a model. For a model, set CHATKIT_MODEL and OPENAI_API_KEY or "
    "CHATKIT_BASE_URL, or CHATKIT_MODEL=embedded, and restart."
)


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Models:
    """The provider for `RunConfig(model_provider=...)` and what the app needs to know about it.

    Use `async with models:`, or `start` and `aclose`.
    """

    provider: ModelProvider
    info: ModelInfo
    model_settings: ModelSettings = field(default_factory=ModelSettings)
    """Defaults for `RunConfig(model_settings=...)`."""
    on_start: Callable[[], Awaitable[None]] = _nothing
    on_close: Callable[[], Awaitable[None]] = _nothing
    base_url: str | None = None
    """The URL of the model's endpoint, or None."""
    transcriber: Transcriber | None = None
    answer_classes: Sequence[type[BaseModel]] = ()
    """The classes of which the provider's answers are built, the largest first."""
    import_client: Callable[[], object] = lambda: None
    """Imports what the first request to the model needs."""

    def origin(self, agent: Agent[Any], chosen: str | None = None) -> str | None:
        """Return an identifier of the model and account that store this agent's answers, or None if nothing is stored.

        Reasoning items can be sent back only to the origin that produced them. `chosen` is a model that all agents
        of the run use (`RunConfig.model`).
        """
        name = chosen or agent.model
        model = name if isinstance(name, Model) else self.provider.get_model(name)
        origin: str | None = getattr(model, "origin", None)
        own = agent.model_settings.store  # takes precedence if set
        stores = self.model_settings.store if own is None else own
        return None if stores is False else origin

    def name_for(self, agent: Agent[Any], chosen: str | None = None) -> str:
        """Return the name of the model that answers for this agent; `chosen` as for `origin`."""
        name = chosen or agent.model
        if isinstance(name, Model):
            return str(getattr(name, "model", None) or type(name).__name__)
        return name if name and self.info.provider in ("openai", "compatible") else self.info.name

    async def start(self) -> None:
        """Begin to load the embedded model in the background. Never waits, never raises."""
        await self.on_start()

    async def aclose(self) -> None:
        """Close HTTP clients and end the embedded model's process. Idempotent."""
        await self.on_close()
        if self.transcriber is not None:
            await self.transcriber.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


def open_models(settings: Settings) -> Models:
    """Return the model that `settings` select, not started yet.

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
        _open_tracing(settings, models)
    return models


def _open_tracing(settings: Settings, models: Models) -> None:
    """Give the Agents SDK the key for uploading traces; on its own it reads only the environment.

    It uploads to api.openai.com, which must get neither the key of another endpoint nor the traces of another region:
    tracing then raises `ModelSetupError`.
    """
    host, info = urlsplit(models.base_url or "").hostname, models.info
    if host != "api.openai.com" or settings.openai_api_key is None:
        raise ModelSetupError(
            "CHATKIT_TRACING=true uploads traces to OpenAI, at api.openai.com, but the answers come from "
            f"{info.name} ({host or info.provider}): turn CHATKIT_TRACING off, or use that endpoint."
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
    check_url("base_url", base_url)
    if settings.model is None and not is_openai(base_url):
        raise ModelSetupError(
            f"The models are those of {base_url} (CHATKIT_BASE_URL or OPENAI_BASE_URL), so CHATKIT_MODEL must name one "
            "that is served there."
        )
    return _open_endpoint(settings, name=settings.model or get_default_model(), base_url=base_url)


def _open_endpoint(settings: Settings, *, name: str, base_url: str) -> Models:
    official = is_openai(base_url)
    api = settings.api or ("responses" if official else "chat_completions")
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    if official and not key:
        raise ModelSetupError("OpenAI's own endpoint needs a key: set OPENAI_API_KEY.")
    client = make_client(
        base_url=base_url,
        api_key=key or "no-key",  # the client requires a key, most local servers ignore it
        timeout=settings.model_timeout,
        max_retries=settings.model_retries,
        deadline=min(settings.first_event_seconds, settings.silence_seconds),
        merged_tokens=_merged_tokens(settings),
    )
    return Models(
        provider=EndpointProvider(
            client,
            name=name,
            api=api,
            choices=[model.id for model in settings.models],
            is_tapped=settings.fast_path,
        ),
        info=ModelInfo(provider="openai" if official else "compatible", name=name),
        model_settings=ModelSettings(include_usage=True if api == "chat_completions" else None),
        on_close=client.close,
        base_url=base_url,
        answer_classes=[*ANSWER_CLASSES, *([ChatCompletionChunk] if api == "chat_completions" else [])],
        import_client=partial(getattr, client, "responses" if api == "responses" else "chat"),
    )


def _merged_tokens(settings: Settings) -> int:
    """Return how many tokens the fast path may merge: no more than a frame may have; 0 without the fast path."""
    return settings.flush_tokens if settings.fast_path else 0


def _open_embedded(settings: Settings) -> Models:
    if not find_spec("xllamacpp"):
        raise ModelSetupError(
            "CHATKIT_MODEL=embedded needs its engine: pip install 'chatkit-server[embedded]', or set OPENAI_API_KEY, "
            "or CHATKIT_MODEL=demo."
        )
    path = settings.embedded_model_path
    if path is not None:
        _check_gguf(path)
    if len(settings.models) > 1:
        raise ModelSetupError("CHATKIT_MODELS lists several models, but CHATKIT_MODEL=embedded runs only one.")
    name = path.stem if path else "SmolLM2-135M-Instruct"
    context = settings.embedded_context
    process = EmbeddedProcess(
        (lambda: path) if path else partial(_fetched_weights, settings.data_dir),
        name=name,
        context=context,
        timeout=settings.model_timeout,
        merged_tokens=_merged_tokens(settings),
    )
    model = EmbeddedModel(process, name=name, context=context, is_tapped=settings.fast_path)
    return Models(
        provider=EmbeddedProvider(model, name),
        info=ModelInfo(provider="embedded", name=name, note=EMBEDDED_NOTE, tools=False, reads=frozenset()),
        model_settings=ModelSettings(temperature=0.2, top_p=0.9, max_tokens=MAX_TOKENS, include_usage=True),
        on_start=process.start,
        on_close=process.aclose,
    )


def _fetched_weights(data_dir: Path) -> Path:
    # Imported here: `python -m chatkit_server.models.weights` warns if its package has already imported it.
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
