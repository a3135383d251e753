"""Read the log by request."""

import logging

import pytest


def request_id_of(record: logging.LogRecord) -> str:
    """Return the id of the request that logged `record`, or `-`. The fixture `_request_ids` puts it there."""
    return str(vars(record)["request_id"])


def messages_of(caplog: pytest.LogCaptureFixture, request_id: str) -> list[str]:
    """Return what our loggers logged for a request."""
    records = [record for record in caplog.records if record.name.startswith(("chatkit_server", "chatkit_store"))]
    return [record.getMessage() for record in records if request_id_of(record) == request_id]
