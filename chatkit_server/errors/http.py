"""The tree of errors that a client may see.

    ServerError
    ├── BadRequest              400  bad_request
    │   ├── InvalidJson         400  invalid_json
    │   ├── UnknownOperation    400  unknown_operation
    │   ├── InvalidParams       400  invalid_params
    │   ├── InvalidChoice       400  invalid_choice
    │   ├── InvalidAudio        400  invalid_audio
    │   ├── InvalidFile         400  invalid_file
    │   └── InvalidItem         400  invalid_item
    ├── NotAuthenticated        401  not_authenticated
    ├── ForeignOrigin           403  foreign_origin
    ├── LinkExpired             403  link_expired
    ├── NotFound                404  not_found
    ├── Conflict                409  conflict
    │   ├── ThreadLocked        409  thread_locked
    │   ├── ThreadClosed        409  thread_closed
    │   ├── ThreadAnswering     409  thread_answering
    │   ├── AlreadyAnswered     409  already_answered
    │   ├── ActionGone          409  action_gone
    │   ├── ItemReplaced        409  item_replaced
    │   ├── ActionRunning       409  action_running
    │   ├── AlreadyUploaded     409  already_uploaded
    │   ├── TooManyFiles        409  too_many_files
    │   ├── KeyReused           409  key_reused
    │   └── ApprovalClosed      409  approval_over
    ├── BodyTooLarge            413  body_too_large
    │   ├── FileTooLarge        413  file_too_large
    │   └── FilesTooLarge       413  files_too_large
    ├── UnsupportedFile         415  unsupported_file
    ├── UpgradeRequired         426  upgrade_required
    ├── NotAvailable            501  not_available
    ├── ServerStopping          503  server_stopping
    ├── AnswerInterrupted       503  interrupted
    ├── DatabaseUnavailable     503  database_unavailable
    ├── FilesUnavailable        503  files_unavailable
    ├── InternalError           500  internal_error
    ├── RepeatedFailure         (interactions/once.py: what another request failed with)
    ├── DictationFailed         502  dictation_failed (dictation.py)
    └── TurnFailed              502  (see failures.py: one code for each kind of provider failure)

The class holds the status, the code and whether a retry can help; the text says what happened and what to do next.
`to_server_error` turns any exception into one of these, so there is one place that decides what a client is told.
"""

import logging
from typing import ClassVar

from chatkit.store import NotFoundError
from chatkit.types import ErrorEvent
from pydantic import ValidationError

from chatkit_store import AlreadyDecided, BlobMissing, BlobsUnavailable, IdClash, StoreError, StoreUnavailable

from .log_format import redacted_traceback
from .outage import database_outage

logger = logging.getLogger(__name__)


class ServerError(Exception):
    """Something a client is told about: HTTP status, machine code, a text for the user, advice on retry."""

    status: int = 500
    code: str = "internal_error"
    allow_retry: bool = False
    default_message: ClassVar[str] = "Something went wrong on the server. Please try again."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.default_message
        super().__init__(self.message)

    def body(self, request_id: str) -> dict[str, str]:
        """The JSON body of an error answer; the widget reads the top-level `message` only."""
        return {"code": self.code, "message": self.message, "request_id": request_id}

    def event(self, request_id: str) -> ErrorEvent:
        """The same as an event in a stream. The code stays `custom`: any other shows the widget's own text."""
        message = f"{self.message} (request {request_id})"
        return ErrorEvent(code="custom", message=message, allow_retry=self.allow_retry)


class InternalError(ServerError):
    """A defect of ours; the log has the cause under the request id."""

    allow_retry = True


class BadRequest(ServerError):
    """The request cannot be understood."""

    status = 400
    code = "bad_request"
    default_message = "The request could not be understood."


class InvalidJson(BadRequest):
    """The body is not JSON."""

    code = "invalid_json"
    default_message = "The request's body is not valid JSON."


class UnknownOperation(BadRequest):
    """`type` names no operation of the ChatKit protocol."""

    code = "unknown_operation"
    default_message = "The request names no known operation in `type`."


class InvalidParams(BadRequest):
    """`params` do not fit the operation."""

    code = "invalid_params"
    default_message = "The request's `params` do not fit its operation."


class InvalidChoice(BadRequest):
    """A message asks for a model or a tool that the settings do not list."""

    code = "invalid_choice"
    default_message = "This choice is not on offer here."


class InvalidAudio(BadRequest):
    """A recording that cannot be turned into text."""

    code = "invalid_audio"
    default_message = "This recording cannot be turned into text."


class InvalidItem(BadRequest):
    """The operation names an item of a type that it cannot work on."""

    code = "invalid_item"
    default_message = "This operation cannot work on that item."


class InvalidFile(BadRequest):
    """An upload that is no usable file."""

    code = "invalid_file"
    default_message = "The file is empty or damaged. Please send it again."


class NotAuthenticated(ServerError):
    """Nobody is logged in."""

    status = 401
    code = "not_authenticated"
    default_message = "You are not logged in. Please log in and try again."


class ForeignOrigin(ServerError):
    """A page of another origin may not open this connection."""

    status = 403
    code = "foreign_origin"
    default_message = "Pages of this origin may not call this server. Its administrator can add it to the allowed ones."


class LinkExpired(ServerError):
    """The signature in the URL of a file is too old, or none of ours."""

    status = 403
    code = "link_expired"
    default_message = "This link to a file is not valid any more. Load the conversation again for a new one."


class NotFound(ServerError):
    """The thing does not exist, or belongs to somebody else: the two look alike on purpose."""

    status = 404
    code = "not_found"
    default_message = "This was not found. It may have been deleted."


class Conflict(ServerError):
    """The state of the thing forbids it."""

    status = 409
    code = "conflict"
    default_message = "This cannot be done now."


class ThreadLocked(Conflict):
    """The thread is locked (trap T14)."""

    code = "thread_locked"
    default_message = "This conversation is locked and takes no new messages."


class ThreadClosed(Conflict):
    """The thread is closed (trap T14)."""

    code = "thread_closed"
    default_message = "This conversation is closed. Please start a new one."


class ThreadAnswering(Conflict):
    """A turn runs on the thread, and the settings say that another message waits for its end."""

    code = "thread_answering"
    default_message = "The assistant is still answering. Please wait for the end of the answer, or stop it."


class AlreadyAnswered(Conflict):
    """The question was answered before."""

    code = "already_answered"
    default_message = "This question was already answered."


class ItemReplaced(Conflict):
    """The item belongs to an answer that a retry replaced: an old tab shows it still."""

    code = "item_replaced"
    default_message = "This answer was replaced by a newer one. Please reload the conversation."


class ActionGone(Conflict):
    """The widget has changed since, and no longer offers this action: a second click, or an old tab."""

    code = "action_gone"
    default_message = "This was done already: the card has changed and no longer offers it. Please reload the page."


class ActionRunning(Conflict):
    """The same action was sent before, and is not done yet."""

    code = "action_running"
    default_message = "This is still being done. Please wait a moment, and reload the page."


class KeyReused(Conflict):
    """The idempotency key came with another message before."""

    code = "key_reused"
    default_message = "This idempotency key was used for another message. Please send each message with a new one."


class AlreadyUploaded(Conflict):
    """The bytes of this attachment came before, or come right now."""

    code = "already_uploaded"
    default_message = "This file was uploaded already. To send another one, attach it anew."


class TooManyFiles(Conflict):
    """More files than one message, or one user without a message, may have."""

    code = "too_many_files"
    default_message = "These are too many files."


class ApprovalClosed(Conflict):
    """Nothing waits for this approval any more (trap T19)."""

    code = "approval_over"
    default_message = "This is no longer waiting for a decision."


class BodyTooLarge(ServerError):
    """The body is over the limit in Settings."""

    status = 413
    code = "body_too_large"
    default_message = "The message is too large. Please shorten it."


class UpgradeRequired(ServerError):
    """The address is for WebSockets only."""

    status = 426
    code = "upgrade_required"
    default_message = "Open this address as a WebSocket (wss://…)."


class FileTooLarge(BodyTooLarge):
    """The file is over the limit in Settings."""

    code = "file_too_large"
    default_message = "The file is too large."


class FilesTooLarge(BodyTooLarge):
    """The files of a message are together more than a model is shown."""

    code = "files_too_large"
    default_message = "These files are too large for the model."


class UnsupportedFile(ServerError):
    """A file of a type that is not accepted, or that is not what it says."""

    status = 415
    code = "unsupported_file"
    default_message = "Files of this type are not accepted here."


class NotAvailable(ServerError):
    """Part of the protocol, but not switched on or not built in this version."""

    status = 501
    code = "not_available"
    default_message = "This server does not offer this feature."


class ServerStopping(ServerError):
    """No new turns while the server shuts down."""

    status = 503
    code = "server_stopping"
    allow_retry = True
    default_message = "The server is restarting. Please try again in a moment."


class AnswerInterrupted(ServerError):
    """The worker that ran the turn died, or was shut down before the answer was complete."""

    status = 503
    code = "interrupted"
    allow_retry = True
    default_message = "The server was restarted before the answer was complete. What was said is kept; please retry."


class DatabaseUnavailable(ServerError):
    """The store could not be reached or written."""

    status = 503
    code = "database_unavailable"
    allow_retry = True
    default_message = "The conversation could not be read or saved just now. Please try again in a moment."


class FilesUnavailable(ServerError):
    """The place for files could not be reached or written."""

    status = 503
    code = "files_unavailable"
    allow_retry = True
    default_message = "Files cannot be read or saved just now. Please try again in a moment."


class TurnFailed(ServerError):
    """The agent or its model failed after the message was accepted."""

    status = 502

    def __init__(self, code: str, message: str, *, allow_retry: bool) -> None:
        super().__init__(message)
        self.code = code
        self.allow_retry = allow_retry


def to_server_error(error: BaseException) -> ServerError:
    """What a client is told of `error`; logs it with its cause where it is not the client's own doing."""
    match error:
        case ServerError():
            if error.status >= 500 and not isinstance(error, NotAvailable):
                cause = "" if error.__cause__ is None else f"\n{redacted_traceback(error.__cause__)}"
                logger.warning("request failed: %s%s", error.code, cause)
            return error
        case NotFoundError() | BlobMissing():
            return NotFound()
        case BlobsUnavailable():
            logger.error("the storage for files failed\n%s", redacted_traceback(error))
            return FilesUnavailable()
        case StoreUnavailable():
            database_outage.failed_request(error)
            return DatabaseUnavailable()
        case IdClash():
            logger.error("an id is already taken\n%s", redacted_traceback(error))
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
