"""Our own logging set-up (trap T43: chatkit adds a handler by itself when `LOG_LEVEL` is set)."""

import logging

from .settings import Settings

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class RedactingFormatter(logging.Formatter):
    """Keeps configured secrets out of every line, tracebacks and providers' error texts included."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line, with each secret replaced by stars."""
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line


def configure_logging(settings: Settings) -> None:
    """One handler for the process, to standard error."""
    secrets = [value.get_secret_value() for value in (settings.openai_api_key, settings.secret) if value]
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter([secret for secret in secrets if secret]))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.getLogger("chatkit").handlers.clear()
    for noisy in ("httpx2", "httpcore2", "alembic", "uvicorn.access", "aiosqlite"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
