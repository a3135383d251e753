"""CHATKIT_MCP_SERVERS: which MCP servers there are, in the form that other MCP clients take (`mcpServers`)."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from ..composer.choices import Listed


class McpSpec(Listed):
    """One server: a `command` to start and speak with over its standard streams, or the `url` of one that runs."""

    command: str | None = None
    args: list[str] = []
    env: dict[str, SecretStr] = {}
    """Added to the few variables that it gets of ours: PATH, HOME and the like, and no key."""
    cwd: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+", repr=False)  # it may hold a token
    transport: Literal["streamable_http", "sse"] = "streamable_http"
    """What is spoken at the `url`."""
    headers: dict[str, SecretStr] = {}
    tools: list[str] | None = None
    """The only tools that the agent gets; all of them for None."""
    approve: bool | list[str] = False
    """Whether calls wait for the user's approval: all of them, or those of the tools named here."""
    seconds: float = Field(default=60.0, gt=0)
    """How long a call may take."""

    @property
    def place(self) -> str:
        """Where it is, for an administrator: the command without its arguments, or the URL without its path."""
        if self.url is None:
            return str(self.command)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs either a command or a url")
        return self
