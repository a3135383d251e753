"""Attachments and where they are stored."""

import re
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from .parsing import comma_separated

MIME_TYPE = re.compile(r"[a-z0-9.+-]+/(\*|[a-z0-9.+-]+)")


class FileSettings(BaseModel):
    """Attachments and where they are stored."""

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
    attachment_types: Annotated[list[str], NoDecode, comma_separated("MIME types")] = Field(
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

    @field_validator("attachment_types")
    @classmethod
    def _are_types(cls, value: list[str]) -> list[str]:
        for entry in value:
            if not MIME_TYPE.fullmatch(entry):
                raise ValueError(f"{entry} is not a MIME type such as image/png or text/*")
        return value

    @field_validator("attachments_url")
    @classmethod
    def _is_place(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not re.match(r"s3://[^/\s]+", value):
            raise ValueError(f"{value} must be a directory, or s3://bucket/prefix")
        return value
