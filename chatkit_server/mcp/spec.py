"""The entries of CHATKIT_MCP_SERVERS, in the format of other MCP clients (`mcpServers`)."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from ..composer.choices import SettingsEntry


class McpSpec(SettingsEntry):
    """One server: a `command` to start and talk to over stdin and stdout, or the `url` of a running server."""

    other_names: ClassVar[Mapping[str, str]] = {
        "cmd": "it is called command here",
        "type": "it is called transport here, and only needed for sse",
        "serverUrl": "it is called url here",
        "httpUrl": "it is called url here",
        "environment": "it is called env here",
        "timeout": "it is called seconds here",
        "allowedTools": "it is called tools here",
        "disabled": "leave the server out instead",
    }

    command: str | None = None
    args: list[str] = []
    env: dict[str, SecretStr] = {}
    """Environment variables for the command, besides the few it inherits (PATH, HOME and the like, but no key)."""
    cwd: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+", repr=False)  # may contain a token
    transport: Literal["streamable_http", "sse"] = "streamable_http"
    """The protocol to use at `url`."""
    headers: dict[str, SecretStr] = {}
    tools: list[str] | None = None
    """Names of the tools that the agent gets, or None for all."""
    approve: bool | list[str] = False
    """Which calls need the user's approval: all, none, or those of the named tools."""
    seconds: float = Field(default=60.0, gt=0)
    """Time limit of a call, in seconds."""

    @property
    def place(self) -> str:
        """Where the server is, without secrets: the command without arguments, or the URL without its path."""
        if self.url is None:
            return str(self.command)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @model_validator(mode="after")
    def _has_command_or_url(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs either a command or a url")
        return self
