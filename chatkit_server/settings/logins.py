"""Who may use the server."""

import re
from typing import Annotated

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from .parsing import comma_separated

MODES = ("none", "session", "jwt", "header")
HEADER = re.compile(r"[A-Za-z0-9-]+")
"""The name of a header: without `_`, which many proxies drop or confuse with `-`."""

NOT_OF_A_LOGIN = ("host", "cookie", "authorization", "origin", "content-type", "content-length", "user-agent", "accept")


class LoginSettings(BaseModel):
    """Who may use the server."""

    auth: Annotated[list[str], NoDecode, comma_separated("modes")] = Field(
        default=["none"],
        description="How users are identified: `none` gives each browser its own user, with a signed cookie; `session` "
        "takes client secrets of POST /v1/chatkit/sessions, `jwt` bearer tokens of an issuer, `header` what a trusted "
        "proxy says; `package.module:name` is a login of your own. Several, comma-separated, are tried in turn.",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Anybody may use the server without a login, such as on a public help page: with it, "
        "CHATKIT_AUTH=none is also served in production and on more than loopback.",
    )
    secrets: Annotated[list[SecretStr], NoDecode, comma_separated("secrets")] = Field(
        default=[],
        validation_alias=AliasChoices("CHATKIT_SECRETS", "CHATKIT_SECRET", "secrets"),
        description="Sign cookies and URLs; comma-separated, at least 32 characters each. The first signs, all verify. "
        "CHATKIT_SECRET is read as well. Required in production; in development, CHATKIT_DATA_DIR gets one.",
    )
    admin_role: str | None = Field(
        default=None,
        min_length=1,
        description="The role that makes a user an admin. Nobody is one by default.",
    )
    header_user: str = Field(
        default="x-forwarded-user",
        description="With CHATKIT_AUTH=header: the header in which the proxy names the user.",
    )
    header_tenant: str | None = Field(
        default=None, description="The header in which the proxy names the user's tenant; then every request needs it."
    )
    header_name: str | None = Field(
        default=None, description="The header in which the proxy says how the user may be addressed."
    )
    header_roles: str | None = Field(
        default=None, description="The header in which the proxy lists the user's roles, comma-separated."
    )
    header_secret: Annotated[list[SecretStr], NoDecode, comma_separated("secrets", dropped="")] = Field(
        default=[],
        description="What the proxy sends in the header x-chatkit-proxy-secret, at least 32 characters; several, "
        "comma-separated, while you change it. If set, the other headers are only believed with it.",
    )

    @field_validator("header_user", "header_tenant", "header_name", "header_roles")
    @classmethod
    def _are_headers(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not HEADER.fullmatch(value):
            raise ValueError(f"{value} is not a header's name of letters, digits and hyphens, such as x-forwarded-user")
        if value.lower() in NOT_OF_A_LOGIN:
            raise ValueError(f"{value} is a header that clients set themselves; choose one of the proxy's own")
        return value.lower()

    api_keys: Annotated[list[SecretStr], NoDecode, comma_separated("keys")] = Field(
        default=[],
        description="Keys with which your backend makes sessions at POST /v1/chatkit/sessions, comma-separated, at "
        "least 20 characters each; they are also admin keys. `chatkit-server keys create` makes others, which the "
        "database keeps as hashes.",
    )
    session_seconds: int = Field(
        default=600, ge=10, description="How long a client secret is valid if `expires_after` does not say it."
    )
    session_max_seconds: int = Field(
        default=24 * 3600, ge=10, description="The longest `expires_after` of a session, in seconds."
    )
    session_renew_seconds: int = Field(
        default=3600,
        ge=0,
        description="How long after its start a session can be renewed with its client secret, at POST "
        "/api/chatkit/refresh, without asking your backend; 0 for never beyond its own end.",
    )
    session_grace_seconds: float = Field(
        default=60, ge=0, description="How long after its end a client secret can still be renewed, once."
    )

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, value: list[SecretStr]) -> list[SecretStr]:
        if any(len(key.get_secret_value()) < 20 for key in value):
            raise ValueError("must have at least 20 characters; `openssl rand -hex 32` generates one")
        return value

    @field_validator("auth")
    @classmethod
    def _are_modes(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in MODES and ":" not in name:
                raise ValueError(f"{name} is not one of {', '.join(MODES)}, or package.module:name")
        if not value:
            raise ValueError("names no mode")
        return value

    @field_validator("secrets", "header_secret")
    @classmethod
    def _long_enough(cls, value: list[SecretStr]) -> list[SecretStr]:
        if any(len(secret.get_secret_value()) < 32 for secret in value):
            raise ValueError("must have at least 32 characters; `openssl rand -hex 32` generates one")
        return value
