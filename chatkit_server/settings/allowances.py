"""How much clients may use."""

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """How much clients may use."""

    max_body_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        description="Largest accepted request body, in bytes; files have their own limit.",
    )
    body_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a request body may take to arrive, and one more for each 8 KiB; a slower one is "
        "refused with 408.",
    )
    running_turns: int = Field(default=1000, ge=1, description="Most answers that one worker gives at a time.")
    queue_length: int = Field(
        default=200,
        ge=0,
        description="Most messages that wait at one worker while it gives CHATKIT_RUNNING_TURNS answers; users take "
        "turns.",
    )
    queue_seconds: float = Field(
        default=10.0, gt=0, description="Seconds that such a message waits, before it is refused as busy."
    )
    turns_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="Most answers that a user may start in a minute. Like the limits below, it holds over all workers; "
        "empty for no limit, or for 10 a minute of anonymous visitors (CHATKIT_ALLOW_ANONYMOUS).",
    )
    turns_per_minute_per_address: int | None = Field(
        default=None,
        ge=1,
        description="Most answers that all anonymous visitors from one address may start in a minute; empty for no "
        "limit, or for 60 with CHATKIT_ALLOW_ANONYMOUS.",
    )
    running_turns_per_user: int | None = Field(
        default=None,
        ge=1,
        description="Most answers that a user may get at a time; empty for no limit, or for 3 of anonymous visitors.",
    )
    tokens_per_day: int | None = Field(
        default=None,
        ge=1,
        description="Tokens, input and output, after which a user's messages are refused until midnight UTC; empty for "
        "no limit, or for 200000 of anonymous visitors.",
    )
    tokens_per_day_per_tenant: int | None = Field(
        default=None,
        ge=1,
        description="Tokens after which the messages of all users of a tenant are refused until midnight UTC.",
    )
    threads_per_user: int | None = Field(
        default=None,
        ge=1,
        description="Most conversations that a user may have; empty for no limit, or for 100 of anonymous visitors.",
    )
    items_per_thread: int | None = Field(
        default=None,
        ge=1,
        description="Most entries of a conversation, after which it accepts no more messages; empty for no limit, or "
        "for 1000 of anonymous visitors.",
    )
    file_bytes_per_user: int | None = Field(
        default=None,
        ge=1,
        description="Most bytes of all files of a user; empty for no limit, or for 100 MiB of anonymous visitors.",
    )
    sockets: int = Field(default=1000, ge=1, description="Most WebSockets that one worker keeps open.")
    sockets_per_user: int = Field(
        default=20, ge=1, description="Most WebSockets that one worker keeps open for a user."
    )
    new_users_per_minute: int = Field(
        default=600,
        ge=1,
        description="Most browsers without a cookie that one worker accepts in a minute as new users; once half are "
        "used, an address gets a tenth of it.",
    )
