"""All settings of the server. Each has one field, one description and one environment variable.

They are read once in `create_app` and passed on; nothing else reads the environment.
"""

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from chatkit_store.urls import check_url

from .composer.choices import Choice, ModelChoice, Prompt, ToolChoice
from .mcp.spec import McpSpec

PREFIX = "CHATKIT_"
ENV_FILE = ".env"
DEFAULT_DATABASE_URL = "sqlite:///chatkit.db"
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s,]+")
HOST = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*")
MIME_TYPE = re.compile(r"[a-z0-9.+-]+/(\*|[a-z0-9.+-]+)")


class Settings(BaseSettings):
    """The server's settings, from arguments, then the environment (prefix `CHATKIT_`), then a `.env` file.

    Raises `pydantic.ValidationError` for a value that cannot work; the message names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # may be a password
    )

    environment: Literal["development", "production"] = Field(
        default="development",
        description="`production` refuses unsafe defaults and never migrates the database automatically.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `chatkit-server serve` listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that `chatkit-server serve` listens on.")
    data_dir: Path = Field(
        default=Path(".chatkit"),
        description="Directory for files of the server, such as the development secret. "
        "The embedded model's file is in the user's cache directory, unless you put it into `models` here.",
    )

    database_url: str = Field(
        default=DEFAULT_DATABASE_URL,
        repr=False,  # may contain a password
        description="SQLAlchemy URL of the database, SQLite or PostgreSQL.",
    )

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
        description="API of the model endpoint; by default `responses` for OpenAI, "
        "`chat_completions` if CHATKIT_BASE_URL is set.",
    )
    models: Annotated[list[ModelChoice], NoDecode] = Field(
        default=[],
        description="Models of the endpoint that users may choose from, as comma-separated names or as a "
        'JSON list, such as [{"id": "gpt-5.6-luna", "label": "Fast", "description": "...", "default": true}]; '
        "empty for no choice.",
    )
    tools: Annotated[list[ToolChoice], NoDecode] = Field(
        default=[],
        description="Tools of the agent that users may ask for, as comma-separated names or as a JSON list, such as "
        '[{"id": "order_status", "label": "Orders", "icon": "suitcase"}]; `tool` names the agent\'s tool if '
        "it differs from the id; short_label, placeholder, pinned and persistent are passed to the widget.",
    )
    prompts: Annotated[list[Prompt] | None, NoDecode] = Field(
        default=None,
        description="Starter prompts of the page as a JSON list of {label, prompt, icon}; by default some that suit "
        "the model; [] for none.",
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

    agent: str | None = Field(
        default=None,
        description="`package.module:name` of an `agents.Agent`, or of a function that returns one.",
    )
    mcp_servers: Annotated[dict[Annotated[str, Field(pattern=r"^[\w-]+$")], McpSpec], NoDecode] = Field(
        default={},
        repr=False,
        description="MCP servers whose tools the agent can use, as JSON by name: "
        '{"files": {"command": "uvx", "args": ["mcp-files"]}, "crm": {"url": "https://crm.example/mcp", "headers": '
        '{"Authorization": "Bearer ..."}}}; also env and cwd for a command, transport (streamable_http or sse) for a '
        "url, tools (use only these), approve (true, or the tools whose calls need the user's approval) and seconds "
        "(time limit of a call).",
    )
    max_turns: int = Field(default=10, ge=1, description="How many times an agent may call its model in one turn.")
    history_tokens: int = Field(
        default=100_000,
        ge=500,
        description="About how many tokens of a conversation are replayed to the model; the oldest turns are dropped "
        "first, the newest never.",
    )
    show_tools: bool = Field(
        default=True, description="Show above an answer which tools the agent calls, and handoffs to other agents."
    )
    tracing: bool = Field(
        default=False,
        description="Let the Agents SDK upload traces, including all messages, to OpenAI. "
        "Only for OpenAI's own endpoint.",
    )

    auth: Literal["none", "session", "jwt", "header"] = Field(
        default="none",
        description="How users are identified: `none` gives each browser its own user, with a signed cookie.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="Signs cookies and URLs; at least 32 characters. In development, CHATKIT_DATA_DIR gets one.",
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="Origins of pages that may call the server, comma-separated, such as "
        "https://app.example,https://intra.example; or a JSON list.",
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default=[],
        description="Names under which the server may be called, comma-separated, such as "
        "chat.example.com,*.intra.example; `*` allows any. A web page could point another name at this server. "
        "IP addresses, localhost and the host of CHATKIT_PUBLIC_URL are always allowed. By default, in production "
        "without CHATKIT_PUBLIC_URL, any name is.",
    )
    max_body_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        description="Largest accepted request body, in bytes; files have their own limit.",
    )
    public_url: str | None = Field(
        default=None,
        description="URL at which browsers reach the server, such as https://chat.example.com, for the URLs of files; "
        "by default that of each request.",
    )
    page_dir: Path | None = Field(
        default=None,
        description="Directory of a built page to serve at `/`; by default the page that comes with the server.",
    )
    widget: Literal["auto", "stock", "open"] = Field(
        default="auto",
        description="The chat element of the page: `stock` is OpenAI's, from its CDN; `open` comes with the server; "
        "`auto` uses the open one where the stock one does not load.",
    )

    attachments: bool = Field(default=True, description="Let users attach files.")
    attachments_url: str | None = Field(
        default=None,
        description="Storage for files: a directory, by default `files` in CHATKIT_DATA_DIR, or s3://bucket/prefix in "
        "any S3-compatible service. Servers that share a database must share it, too.",
    )
    s3_endpoint: str | None = Field(
        default=None, description="URL of an S3-compatible service; by default that of AWS, or AWS_ENDPOINT_URL."
    )
    s3_region: str | None = Field(default=None, description="Region of the bucket; by default AWS_REGION.")
    s3_access_key_id: SecretStr | None = Field(
        default=None, description="Key id for the bucket; by default the usual AWS variables and roles."
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="The secret of CHATKIT_S3_ACCESS_KEY_ID.")
    attachment_max_bytes: int = Field(default=20 * 1024**2, ge=1, description="Largest accepted attachment, in bytes.")
    attachment_types: Annotated[list[str], NoDecode] = Field(
        default=["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "application/json", "text/*"],
        description="Accepted MIME types of attachments (detected from the content), comma-separated; "
        "text/html and image/svg+xml must be listed explicitly.",
    )
    attachments_per_message: int = Field(default=10, ge=1, description="Most attachments of one message.")
    attachments_model_bytes: int = Field(
        default=32 * 1024**2,
        ge=1,
        description="How many bytes of pictures and PDFs are sent to a model at once. The newest take precedence; of "
        "older ones only the names are sent. Base64 makes them a third larger; OpenAI accepts 50 MB.",
    )
    attachments_unsent: int = Field(
        default=50, ge=1, description="Most files that a user may upload without sending them."
    )
    attachments_new_users: int = Field(
        default=50,
        ge=0,
        description="Most files that users without a conversation may upload within ten minutes, all together.",
    )
    attachments_unsent_bytes: int = Field(
        default=5_000_000_000,
        ge=1,
        description="Most bytes of files that all users together may have uploaded without sending them.",
    )
    image_max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        description="Most pixels of an attached picture; decoding takes 4 bytes each.",
    )
    link_seconds: int = Field(default=3600, ge=1, description="How long the signed URL of a file is valid, in seconds.")
    unsent_hours: float = Field(
        default=24.0, ge=0, description="Hours after which an uploaded file that was not sent is deleted."
    )
    prune_minutes: float = Field(
        default=60.0,
        ge=0,
        description="Minutes between two deletions of unsent and left-over files; 0 leaves them to "
        "`chatkit-server prune`.",
    )

    flush_ms: float = Field(
        default=40.0,
        ge=0,
        le=1000,
        description="Milliseconds for which tokens are batched into one frame; the first of a burst is sent at once. "
        "0 sends each token in its own frame.",
    )
    flush_tokens: int = Field(default=64, ge=1, description="Most tokens in one frame; a full frame is sent early.")
    journal_ms: float = Field(
        default=250.0,
        ge=0,
        le=10_000,
        description="Milliseconds of an answer that a server crash may lose, including CHATKIT_FLUSH_MS. 0 disables "
        "the journal: a crash loses all of a running answer, and readers at other workers only see it once it is done.",
    )
    journal_keep_seconds: float = Field(
        default=300.0, ge=0, description="Seconds for which a turn's journal is kept after its end."
    )
    heartbeat_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds between two heartbeats of a worker. After 2.5 times that without one, it counts as dead, "
        "and another worker closes its turns.",
    )
    running_turns: int = Field(
        default=1000, ge=1, description="Most answers that one worker gives at a time; others are refused with 429."
    )
    sockets: int = Field(default=1000, ge=1, description="Most WebSockets that one worker keeps open.")
    sockets_per_user: int = Field(
        default=20, ge=1, description="Most WebSockets that one worker keeps open for a user."
    )
    new_users_per_minute: int = Field(
        default=600,
        ge=1,
        description="Most browsers without a cookie that one worker accepts in a minute as new users.",
    )
    on_busy: Literal["interrupt", "reject"] = Field(
        default="interrupt",
        description="What happens to a message while its thread is still being answered: `interrupt` stops that answer "
        "and keeps its text so far, `reject` refuses the message.",
    )
    ping_seconds: float = Field(
        default=15.0, gt=0, description="Seconds of silence after which a stream sends a `: ping` comment."
    )
    first_event_seconds: float = Field(
        default=60.0, gt=0, description="Seconds within which a model must begin to answer, or the turn fails."
    )
    silence_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a model may be silent within its answer; running tools do not count.",
    )
    tool_call_seconds: float = Field(
        default=240.0,
        gt=0,
        description="Time limit in seconds for one call of an `async` tool without its own `timeout`. The model then "
        "gets an error as the tool's output, and continues.",
    )
    tool_threads: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="How many synchronous tools (plain `def`) a worker runs at once; further calls wait.",
    )
    tool_seconds: float = Field(
        default=300.0, gt=0, description="Seconds that tools may run without a pause, or the turn fails."
    )
    turn_seconds: float = Field(default=1800.0, gt=0, description="Time limit for a whole turn, in seconds.")
    drain_seconds: float = Field(
        default=20.0, ge=0, description="Seconds that running turns get to finish when the server stops."
    )
    stop_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a stopped turn waits for its tools and its model call; then its answer is saved "
        "without them. A tool that is not `async` runs in an OS thread and cannot be cancelled.",
    )
    outage_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Seconds for which a running turn repeats what it has to read or save while the database does not "
        "respond, so that a restart of the database does not cost an answer.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is logged. The text of messages is never logged."
    )

    @field_validator("database_url")
    @classmethod
    def _usable_database(cls, value: str) -> str:
        scheme, separator, rest = value.strip().partition("://")
        value = scheme.lower() + separator + rest
        check_url(value)  # raises an error that is for people to read
        return value

    @field_validator("cors_origins", "allowed_hosts", "attachment_types", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return [entry.strip().rstrip("/") for entry in value.split(",") if entry.strip()]
        try:
            return json.loads(value)
        except ValueError:
            what = {"cors_origins": "origins", "allowed_hosts": "names"}.get(str(info.field_name), "MIME types")
            raise ValueError(f"must be comma-separated {what}, or a JSON list of them") from None

    @field_validator("attachment_types")
    @classmethod
    def _are_types(cls, value: list[str]) -> list[str]:
        for entry in value:
            if not MIME_TYPE.fullmatch(entry):
                raise ValueError(f"{entry} is not a MIME type such as image/png or text/*")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]+", value):
            raise ValueError(f"{value} must be a full URL such as https://chat.example.com")
        return value

    @field_validator("attachments_url")
    @classmethod
    def _is_place(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not re.match(r"s3://[^/\s]+", value):
            raise ValueError(f"{value} must be a directory, or s3://bucket/prefix")
        return value

    @field_validator("models", "tools", mode="before")
    @classmethod
    def _names_or_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return [name.strip() for name in value.split(",") if name.strip()]
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be comma-separated names, or a JSON list") from None

    @field_validator("prompts", "mcp_servers", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("must be JSON") from None

    @field_validator("models", "tools")
    @classmethod
    def _each_once(cls, value: list[Choice]) -> list[Choice]:
        ids = [choice.id for choice in value]
        if len(ids) != len(set(ids)):
            raise ValueError("contains an id twice")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is not an origin such as https://app.example, without a path")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        for name in value:
            if not HOST.fullmatch(name):
                raise ValueError(f"{name} is not a name such as chat.example.com or *.example.com, without a port")
        return value

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters; `openssl rand -hex 32` generates one")
        return value

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

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment == "production" and self.secret is None:
            raise ValueError("CHATKIT_SECRET must be set in production; `openssl rand -hex 32` generates one")
        return self


def variables_of(name: str) -> list[str]:
    """Return the environment variables of a field, its `CHATKIT_` variable first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices if str(choice).isupper()]
    return [PREFIX + name.upper()]


def unknown_settings() -> list[str]:
    """Return a warning for each unknown `CHATKIT_` variable in the environment and the `.env` file."""
    variables = [variable for name in Settings.model_fields for variable in variables_of(name)]
    by_short_name = {variable.removeprefix(PREFIX): variable for variable in variables}
    warnings: dict[str, str] = {}
    sources = {"": EnvSettingsSource(Settings), f" in {ENV_FILE}": DotEnvSettingsSource(Settings)}
    for place, source in sources.items():
        for name in sorted(map(str.upper, source.env_vars)):
            if name.startswith(PREFIX) and name not in variables:
                similar = get_close_matches(name.removeprefix(PREFIX), by_short_name, n=1)
                advice = f"; did you mean {by_short_name[similar[0]]}?" if similar else "."
                warnings.setdefault(name, f"{name}{place} is not a setting and is ignored{advice}")
    return list(warnings.values())
