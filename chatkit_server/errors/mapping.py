"""From any exception to the error that a client may see."""

import logging

from chatkit.store import NotFoundError
from pydantic import ValidationError

from chatkit_store import AlreadyDecided, BlobMissing, BlobsUnavailable, IdClash, StoreError, StoreUnavailable

from .http import (
    ApprovalClosed,
    Conflict,
    DatabaseUnavailable,
    FilesUnavailable,
    InternalError,
    NotAvailable,
    NotFound,
    ServerError,
)
from .log_format import redacted_traceback
from .outage import database_outage

logger = logging.getLogger(__name__)


def to_server_error(error: BaseException) -> ServerError:
    """Return the error that a client sees for `error`. Logs the cause, unless the client itself made the mistake."""
    match error:
        case ServerError():
            if error.status >= 500 and error.is_logged:
                cause = "" if error.__cause__ is None else f"\n{redacted_traceback(error.__cause__)}"
                logger.warning("request failed: %s%s", error.code, cause)
            return error
        case NotFoundError() | BlobMissing():
            return NotFound()
        case BlobsUnavailable():
            logger.error("the file storage failed\n%s", redacted_traceback(error))
            return FilesUnavailable()
        case StoreUnavailable():
            database_outage().failed_request(error)
            return DatabaseUnavailable()
        case IdClash():
            logger.error("an id is already in use\n%s", redacted_traceback(error))
            return Conflict()
        case AlreadyDecided():
            return ApprovalClosed()
        case StoreError():
            logger.error("the store failed\n%s", redacted_traceback(error))
            return DatabaseUnavailable()
        case ValidationError():
            logger.error("data did not validate\n%s", redacted_traceback(error))
            return InternalError()
        case NotImplementedError():
            logger.warning("the request needs a feature that the agent does not have")
            return NotAvailable()
        case _:
            logger.error("request failed\n%s", redacted_traceback(error))
            return InternalError()
