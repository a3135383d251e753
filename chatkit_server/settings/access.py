"""Which pages and names may call the server, and the page of its own."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from .parsing import comma_separated

ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s,]+")
HEADER = re.compile(r"[!#$%&'^`|~\w.+-]+", re.ASCII)
HOST = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*")


class AccessSettings(BaseModel):
    """Which pages and names may call the server, and the page of its own."""

    public_url: str | None = Field(
        default=None,
        description="URL at which browsers reach the server, such as https://chat.example.com, for the URLs of files; "
        "by default that of each request. Required in production.",
    )
    allowed_hosts: Annotated[list[str], NoDecode, comma_separated("names")] = Field(
        default=[],
        description="Names under which the server may be called, comma-separated, such as "
        "chat.example.com,*.intra.example; `*` allows any. A web page could point another name at this server. "
        "IP addresses, localhost and the host of CHATKIT_PUBLIC_URL are always allowed.",
    )
    cors_origins: Annotated[list[str], NoDecode, comma_separated("origins")] = Field(
        default=[],
        description="Origins of pages that may call the server, comma-separated, such as "
        "https://app.example,https://intra.example; or a JSON list.",
    )
    cors_headers: Annotated[list[str], NoDecode, comma_separated("headers")] = Field(
        default=[],
        description="Headers that pages of CHATKIT_CORS_ORIGINS may send besides those that the server needs, "
        "comma-separated, such as x-article-id.",
    )
    context_headers: Annotated[list[str], NoDecode, comma_separated("headers")] = Field(
        default=[],
        description="Headers of requests that agents see, in `RequestContext.headers`, comma-separated, such as "
        "x-article-id. Clients can send anything in them, unless your proxy replaces them.",
    )
    trusted_proxies: Annotated[list[str], NoDecode, comma_separated("addresses")] = Field(
        default=[],
        description="Addresses and networks of the proxies in front of the server, comma-separated, such as "
        "10.0.0.5,10.1.0.0/16; `unix` for those that connect by a Unix socket. What they say in X-Forwarded-For, "
        "X-Forwarded-Proto and the headers of CHATKIT_AUTH=header is believed. By default, X-Forwarded-For and "
        "X-Forwarded-Proto of proxies on the same machine are.",
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

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]+", value):
            raise ValueError(f"{value} must be a full URL such as https://chat.example.com")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is not an origin such as https://app.example, without a path")
        return value

    @field_validator("cors_headers", "context_headers")
    @classmethod
    def _are_header_names(cls, value: list[str]) -> list[str]:
        for name in value:
            if not HEADER.fullmatch(name):
                raise ValueError(f"{name} is not a header's name such as x-article-id")
        return [name.lower() for name in value]

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, value: list[str]) -> list[str]:
        for entry in value:
            if entry == "unix":
                continue
            try:
                network = ipaddress.ip_network(entry)
            except ValueError:
                raise ValueError(f"{entry} is not an address, a network such as 10.1.0.0/16, or `unix`") from None
            if network.prefixlen == 0:
                raise ValueError(f"{entry} are all addresses: anybody could claim to be a proxy")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        for name in value:
            if not HOST.fullmatch(name):
                raise ValueError(f"{name} is not a name such as chat.example.com or *.example.com, without a port")
        return value
