"""Where the server runs, and its database."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from chatkit_store.urls import check_url, is_schema_name

DEFAULT_DATABASE_URL = "sqlite:///chatkit.db"


class ServerSettings(BaseModel):
    """Where the server runs, and its database."""

    environment: Literal["development", "production"] = Field(
        default="development",
        description="`production` requires CHATKIT_SECRETS, CHATKIT_PUBLIC_URL and a login (CHATKIT_AUTH), and never "
        "migrates the database automatically.",
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
    database_schema: str | None = Field(
        default=None,
        description="Schema of the tables on PostgreSQL, for a database that has tables of other applications; "
        "`chatkit-server migrate` creates it. By default the first of the role's search path, such as `public`.",
    )
    row_security: bool = Field(
        default=False,
        description="Let PostgreSQL show each transaction only the rows of its user: a second lock, for a query that "
        "forgets its filter. `chatkit-server migrate` creates or removes the policies; the database role must be "
        "neither superuser nor BYPASSRLS.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is logged. The text of messages is never logged."
    )

    @field_validator("database_schema")
    @classmethod
    def _usable_schema(cls, value: str | None) -> str | None:
        if value and not is_schema_name(value):
            raise ValueError("needs letters, digits and underscores, and does not begin with pg_")
        return value or None

    @field_validator("database_url")
    @classmethod
    def _usable_database(cls, value: str) -> str:
        scheme, separator, rest = value.strip().partition("://")
        value = scheme.lower() + separator + rest
        check_url(value)  # raises an error that is for people to read
        return value
