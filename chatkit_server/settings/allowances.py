"""How much clients may use."""

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """How much clients may use."""

    max_body_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        description="Largest accepted request body, in bytes; files have their own limit.",
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
