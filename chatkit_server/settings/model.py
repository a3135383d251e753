"""The model endpoint, titles and dictation."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from ..composer.choices import ModelChoice
from .parsing import CHOICES, EACH_ONCE


class ModelSettings(BaseModel):
    """The model endpoint, titles and dictation."""

    model: str | None = Field(
        default=None,
        description="A model name, `embedded` or `demo`; by default OpenAI's if OPENAI_API_KEY is set, "
        "else `embedded` if its extra is installed, else `demo`.",
    )
    base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("CHATKIT_BASE_URL", "OPENAI_BASE_URL", "base_url"),
        description="Base URL of any OpenAI-compatible endpoint (vLLM, Ollama, llama.cpp, a gateway); "
        "OPENAI_BASE_URL is read as well.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
        description="Key for the model endpoint.",
    )
    api: Literal["responses", "chat_completions"] | None = Field(
        default=None,
        description="API of the model endpoint; by default `responses` for OpenAI, `chat_completions` for others.",
    )
    models: Annotated[list[ModelChoice], NoDecode, CHOICES, EACH_ONCE] = Field(
        default=[],
        description="Models of the endpoint that users may choose from, as comma-separated names or as a "
        'JSON list, such as [{"id": "gpt-5.6-luna", "label": "Fast", "description": "...", "default": true}]; '
        "empty for no choice.",
    )
    model_timeout: float = Field(default=120.0, gt=0, description="Seconds the model endpoint may stay silent.")
    model_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a failed request to the model is retried, within 10 seconds, before its error is shown.",
    )
    embedded_model_path: Path | None = Field(
        default=None, description="GGUF file for the embedded model; by default a small one is downloaded."
    )
    embedded_context: int = Field(
        default=1024, ge=512, le=131072, description="Context window of the embedded model, in tokens."
    )
    demo_tokens_per_second: float = Field(
        default=30.0, gt=0, description="Speed of the demo model, in tokens per second."
    )
    titles: bool = Field(
        default=True,
        description="Let a model of the endpoint write titles for new threads. Otherwise, and with `embedded` and "
        "`demo`, the title is the beginning of the message.",
    )
    title_model: str | None = Field(
        default=None, description="Model that writes titles; by default the one that answers."
    )
    title_seconds: float = Field(default=10.0, gt=0, description="Time limit for writing a title, in seconds.")
    transcription_model: str | None = Field(
        default=None,
        description="Model that transcribes dictation, such as gpt-4o-mini-transcribe; without one, the page does not "
        "offer dictation.",
    )
    transcription_base_url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible endpoint with `audio/transcriptions`; by default the model's.",
    )
    transcription_api_key: SecretStr | None = Field(
        default=None,
        description="Key for that endpoint; OPENAI_API_KEY is only used if it is the model's endpoint.",
    )
    transcription_max_bytes: int = Field(
        default=5 * 1024 * 1024, ge=1024, description="Largest accepted recording, in bytes."
    )
    transcription_seconds: float = Field(
        default=60.0, gt=0, description="Time limit for transcribing a recording, in seconds."
    )

    @model_validator(mode="after")
    def _one_default_model(self) -> Self:
        """The list's default is the model that answers; CHATKIT_MODEL may name it as well."""
        if not self.models:
            return self
        marked = [model.id for model in self.models if model.default]
        default = self.model or (marked or [self.models[0].id])[0]
        if marked not in ([], [default]) or default not in [model.id for model in self.models]:
            raise ValueError("CHATKIT_MODELS must list CHATKIT_MODEL, and must not mark another model as the default")
        self.model = default
        self.models = [model.model_copy(update={"default": model.id == default}) for model in self.models]
        return self
