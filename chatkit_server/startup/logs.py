"""Our own logging set-up (trap T43: chatkit adds a handler by itself when `LOG_LEVEL` is set)."""

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
"""Characters: what is shorter (`none`, `true`) is no secret, and its stars would make lines unreadable."""

IN_URLS = (
    re.compile(r"://[^:/@\s]*:([^@\s]*)@"),  # a password as SQLAlchemy reads it, which may hold a slash
    re.compile(r"://[^:/@\s]*:([^/?#\s]*)@"),  # a password as web clients read it, which may hold an @
    re.compile(r"https?://([^:/?#@\s]+):?@"),  # a key alone
)
"""Secrets that stand before the host of a URL."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

# At DEBUG these log what goes over the wire, to the model or the database.
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
)


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
    """Keeps configured secrets out of every line, and people's texts out of every traceback, whoever logs it."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line, with each secret replaced by stars."""
        record.exc_text = None  # another handler's format of the same exception
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def formatException(self, ei: ExcInfo) -> str:
        """The traceback without what exceptions quote."""
        return "" if ei[1] is None else redacted_traceback(ei[1])


def secrets_in(value: object) -> Iterator[str]:
    """All that is a secret in the settings or a part of them: keys, what MCP servers get as headers, as `env` or in
    their URLs' queries, and passwords in any URL, as they stand there and as they are meant."""
    match value:
        case SecretStr():
            secret = value.get_secret_value()
            yield secret
            yield secret.partition(" ")[2]  # of `Bearer <token>` the token
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
    handler.setFormatter(RedactingFormatter(sorted(secrets, key=len, reverse=True)))  # one may be a part of another
    return handler


def configure_logging(settings: Settings) -> None:
    """One handler for the process, to standard error."""
    # A password that is a part of our own name, as in many a try-out, would put stars into every line.
    secrets = {one for one in secrets_in(settings) if len(one) >= SHORTEST_SECRET and one not in __name__}
    logging.basicConfig(level=settings.log_level, handlers=[log_handler(secrets)], force=True)
    logging.getLogger("chatkit").handlers.clear()
    for wire in WIRES:
        logging.getLogger(wire).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
