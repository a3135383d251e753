"""The login mode `jwt`: whose tokens, and what their claims mean."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from .parsing import NAMES

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
ANY = "*"


class JwtSettings(BaseModel):
    """The login mode `jwt`: whose tokens, and what their claims mean."""

    jwt_issuer: str | None = Field(
        default=None,
        description="For CHATKIT_AUTH=jwt: the exact `iss` of the tokens, such as https://login.example/realms/main. "
        "Without another key setting, the keys are found by OpenID Connect discovery. `*` accepts any.",
    )
    jwt_audience: Annotated[list[str], NoDecode, NAMES] = Field(
        default=[],
        description="The tokens that are for this server: one of these, comma-separated, must be in their `aud`. "
        "Needed for an issuer's published keys; without it, tokens must not have an `aud`. `*` accepts any, which also "
        "lets in tokens that users gave to other services of the issuer.",
    )
    jwt_jwks_url: str | None = Field(default=None, description="Where the issuer publishes its keys (JWKS).")
    jwt_public_key: str | None = Field(
        default=None,
        description="The issuer's public key or certificate instead: PEM, or the path of a PEM file. Several, one "
        "after another, while it changes.",
    )
    jwt_secret: Annotated[list[SecretStr], NoDecode, NAMES] = Field(
        default=[],
        description="The secret that signs tokens (HS256) instead: 32 bytes or more. Several, comma-separated, while "
        "it changes; a JSON list if one contains a comma.",
    )
    jwt_algorithms: Annotated[list[Algorithm], NoDecode, NAMES] = Field(
        default=[],
        description="Allowed signatures, comma-separated; by default HS256 with CHATKIT_JWT_SECRET, else "
        "RS256,PS256,ES256,ES384,ES512,EdDSA.",
    )
    jwt_leeway: float = Field(
        default=30.0, ge=0, le=300, description="Seconds by which the clocks of issuer and server may differ."
    )
    jwt_user_claim: str = Field(
        default="sub",
        min_length=1,
        description="The claim with the user's id. Like the other claims, a name or a path such as `account.id`.",
    )
    jwt_tenant_claim: str | None = Field(
        default=None, description="The claim with the user's tenant; a token without it is then refused."
    )
    jwt_name_claim: str = Field(default="name", description="The claim with the name by which agents call the user.")
    jwt_roles_claim: str | None = Field(
        default=None,
        description="The claim with the user's roles, such as `realm_access.roles` or `https://app.example/roles`: a "
        "list, or a text with spaces between them. CHATKIT_ADMIN_ROLE among them makes an admin.",
    )

    @field_validator("jwt_jwks_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError(f"{value} must be a full URL such as https://login.example/keys")
        return value
