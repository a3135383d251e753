"""Configure logging: one handler, request ids on every line, and secrets redacted."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TextIO
from urllib.parse import unquote, unquote_plus

from pydantic import BaseModel, SecretStr

from ..context import current_request_id
from ..errors.log_format import redacted_traceback
from ..mcp.spec import McpSpec
from ..settings import Settings

FORMAT = "%(asctime)s %(levelname)-7s [%(request_id)s] %(name)s: %(message)s"

SHORTEST_SECRET = 6
"""Minimum length in characters: redacting shorter values (`none`, `true`) would make lines unreadable."""

IN_URLS = (
    re.compile(r"://[^:/@\s]*:([^@\s]*)@"),  # a password as SQLAlchemy parses it; may contain a slash
    re.compile(r"://[^:/@\s]*:([^/?#\s]*)@"),  # a password as web clients parse it; may contain an @
    re.compile(r"https?://([^:/?#@\s]+):?@"),  # a key without a user
)
"""Secrets before the host of a URL."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

# At DEBUG, these log the traffic with clients, the model or the database.
WIRES = (
    "httpx2",
    "httpcore2",
    "openai",
    "openai.agents",
    "alembic",
    "uvicorn.access",
    "aiosqlite",
    "watchfiles",
    "aiohttp",
    "websockets",
)


REPEATED = ("Error getting response", "Error streaming response")
"""What the Agents SDK (0.24) logs of a failed call, without a cause, before it raises the error that we log."""


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to every record: the id of the request in whose task it was logged, or `-`.

    `configure_logging` installs it. With a logging configuration of your own, add it to the handlers (filters of a
    logger are not applied to its children) and put `%(request_id)s` into their format:

        "filters": {"request_id": {"()": "chatkit_server.startup.logs.RequestIdFilter"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"]}},
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `record.request_id`; every record passes."""
        record.request_id = current_request_id.get()
        return True


class RedactingFormatter(logging.Formatter):
    """Redacts configured secrets in every line, and user content in every traceback, whichever logger it comes from."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with each secret replaced by `***`."""
        record.exc_text = None  # drop the traceback that another handler may have cached
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def formatException(self, ei: ExcInfo) -> str:
        """Return the traceback without quoted user content."""
        return "" if ei[1] is None else redacted_traceback(ei[1])


def _is_new(record: logging.LogRecord) -> bool:
    """Return whether the record says what no other does."""
    return record.name != "openai.agents" or not record.getMessage().startswith(REPEATED)


def secrets_in(value: object) -> Iterator[str]:
    """Yield all secrets in the settings or a part of them.

    These are keys; headers, `env` and URL queries of MCP servers; and passwords in any URL, quoted and unquoted.
    """
    match value:
        case SecretStr():
            secret = value.get_secret_value()
            yield secret
            yield secret.partition(" ")[2]  # the token of `Bearer <token>`
        case str():
            for pattern in IN_URLS:
                for secret in pattern.findall(value):
                    yield from (secret, unquote(secret))
        case BaseModel():
            if isinstance(value, McpSpec) and value.url is not None:
                yield from _in_query(value.url)
            for _, part in value:
                yield from secrets_in(part)
        case Mapping():
            for part in value.values():
                yield from secrets_in(part)
        case list():
            for part in value:
                yield from secrets_in(part)


def _in_query(url: str) -> Iterator[str]:
    query = url.partition("#")[0].partition("?")[2]
    for pair in query.split("&"):
        secret = pair.partition("=")[2]
        yield from (secret, unquote_plus(secret))


def log_handler(secrets: Iterable[str], stream: TextIO | None = None) -> logging.Handler:
    """Return a handler that writes lines with request ids and without `secrets` to `stream` (default: stderr)."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestIdFilter())
    handler.addFilter(_is_new)
    handler.setFormatter(RedactingFormatter(sorted(secrets, key=len, reverse=True)))  # a secret may be part of another
    return handler


def configure_logging(settings: Settings) -> None:
    """Log to standard error through one handler for the whole process."""
    # A password that is part of our package name (common in demos) would redact every line.
    secrets = {secret for secret in secrets_in(settings) if len(secret) >= SHORTEST_SECRET and secret not in __name__}
    logging.basicConfig(level=settings.log_level, handlers=[log_handler(secrets)], force=True)
    logging.getLogger("chatkit").handlers.clear()  # chatkit adds one on import if LOG_LEVEL is set
    for wire in WIRES:
        logging.getLogger(wire).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
