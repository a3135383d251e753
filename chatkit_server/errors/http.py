"""The errors that a client may see.

    ServerError
    ├── BadRequest              400  bad_request
    │   ├── InvalidJson         400  invalid_json
    │   ├── UnknownOperation    400  unknown_operation
    │   ├── InvalidParams       400  invalid_params
    │   ├── InvalidChoice       400  invalid_choice
    │   ├── InvalidAudio        400  invalid_audio
    │   ├── InvalidFile         400  invalid_file
    │   ├── LimitExceeded       400  limit_exceeded
    │   └── InvalidItem         400  invalid_item
    ├── NotAuthenticated        401  not_authenticated
    ├── AdminKeyNeeded          403  admin_key_needed
    ├── ForeignHost             403  foreign_host
    ├── ForeignOrigin           403  foreign_origin
    ├── LinkExpired             403  link_expired
    ├── NotFound                404  not_found
    ├── MethodNotAllowed        405  method_not_allowed
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
    │   ├── NotRetryable        409  not_retryable
    │   └── ApprovalClosed      409  approval_over
    │       └── AssistantChanged 409 approval_over
    ├── BodyTooLarge            413  body_too_large
    │   ├── FileTooLarge        413  file_too_large
    │   └── FilesTooLarge       413  files_too_large
    ├── TargetTooLong           414  target_too_long
    ├── UnsupportedFile         415  unsupported_file
    ├── UpgradeRequired         426  upgrade_required
    ├── TooManyRequests         429  too_many_requests
    │   ├── TooManySockets      429  too_many_sockets
    │   └── LimitReached        429  limit_reached
    ├── NotAvailable            501  not_available
    ├── ServerBusy              503  server_busy
    ├── NotStarted              503  not_started
    ├── ServerStopping          503  server_stopping
    ├── AnswerInterrupted       503  interrupted
    ├── DatabaseUnavailable     503  database_unavailable
    ├── LoginUnavailable        503  login_unavailable
    ├── FilesUnavailable        503  files_unavailable
    ├── InternalError           500  internal_error
    ├── DictationFailed         502  dictation_failed
    ├── TurnFailed              502  one code for each kind of model or agent failure, see `TEXTS` in failures.py
    ├── AuthorRefusal           the status of an HTTPException of an adopted server (adopted/)
    └── RepeatedFailure         the error of an earlier request, for its repetition (interactions/once.py)

To change the text of an error, edit `default_message` of its class here, or its entry in `TEXTS` in failures.py. A few
callers pass a more precise text. Each text says what happened and what to do next; the class holds the HTTP status, the
code, and whether a retry can help.

`to_server_error` (mapping.py) maps any other exception to one of these.
"""

from collections.abc import Sequence
from typing import ClassVar

from chatkit.types import ErrorEvent


class ServerError(Exception):
    """An error for clients: HTTP status, machine-readable code, text for the user, and whether to offer a retry."""

    status: int = 500
    code: str = "internal_error"
    allow_retry: bool = False
    is_authors_text: bool = False
    """The agent's author wrote the message, for example in a guardrail: nothing is added to it."""
    retry_after: int | None = None
    """Seconds after which to try again, for the header `Retry-After`; None if waiting does not help or nobody knows."""
    is_logged: ClassVar[bool] = True
    """Whether the log has a line for each one with a status of 500 or more."""
    default_message: ClassVar[str] = "Something went wrong on the server. Please try again."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.default_message
        super().__init__(self.message)

    def body(self, request_id: str) -> dict[str, str]:
        """Return the JSON body of an error response; the widget only reads the top-level `message`."""
        return {"code": self.code, "message": self.message, "request_id": request_id}

    def event(self, request_id: str) -> ErrorEvent:
        """Return the error as a stream event. Its code is always `custom`: otherwise the widget shows its own text."""
        message = self.message if self.is_authors_text else f"{self.message} (request {request_id})"
        return ErrorEvent(code="custom", message=message, allow_retry=self.allow_retry)


class InternalError(ServerError):
    """A bug in this server; the log has the cause under the request id."""

    allow_retry = True


class BadRequest(ServerError):
    """The request cannot be understood."""

    status = 400
    code = "bad_request"
    default_message = "The request could not be understood."


class InvalidJson(BadRequest):
    """The body is not JSON."""

    code = "invalid_json"
    default_message = "The request body is not valid JSON."


class UnknownOperation(BadRequest):
    """`type` is not an operation of the ChatKit protocol."""

    code = "unknown_operation"
    default_message = "The request's `type` is not a known operation."


class InvalidParams(BadRequest):
    """`params` are not valid for the operation."""

    code = "invalid_params"
    default_message = "The request's `params` are not valid for its operation."


class InvalidChoice(BadRequest):
    """A message asks for a model or a tool that the settings do not list."""

    code = "invalid_choice"
    default_message = "This option is not available."


class InvalidAudio(BadRequest):
    """A recording that cannot be transcribed."""

    code = "invalid_audio"
    default_message = "This recording cannot be transcribed."


class InvalidItem(BadRequest):
    """The operation does not apply to items of this type."""

    code = "invalid_item"
    default_message = "This operation does not apply to that item."


class InvalidFile(BadRequest):
    """An uploaded file that is empty or damaged."""

    code = "invalid_file"
    default_message = "The file is empty or damaged. Please send it again."


class LimitExceeded(BadRequest):
    """A field that is too long, too deep or has too many entries (routes/limits.py)."""

    code = "limit_exceeded"
    default_message = "The request is too large."


class NotAuthenticated(ServerError):
    """The request has no logged-in user."""

    status = 401
    code = "not_authenticated"
    default_message = "You are not logged in. Please log in and try again."

    def __init__(self, message: str | None = None, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        """Why, for the log: a client would learn what to forge next."""


class NoCredentials(NotAuthenticated):
    """The request does not even try to log in, or in a way that this server does not have."""

    def __init__(self, reason: str = "no credentials") -> None:
        super().__init__(reason=reason)


class AdminKeyNeeded(ServerError):
    """The API key is valid, but not an admin key."""

    status = 403
    code = "admin_key_needed"
    default_message = (
        "This needs an admin key: a key of CHATKIT_API_KEYS, or one made with `chatkit-server keys create --admin`. "
        "The key of this request can only make and cancel sessions."
    )


class ForeignHost(ServerError):
    """The request is for a host name that this server does not serve: perhaps a page that calls it by its own name."""

    status = 403
    code = "foreign_host"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"This server is not served under the name {host}. Its administrator can allow the name with "
            "CHATKIT_ALLOWED_HOSTS."
        )


class ForeignOrigin(ServerError):
    """A page from this origin may not call this server."""

    status = 403
    code = "foreign_origin"
    default_message = (
        "Pages from this origin may not call this server. Its administrator can allow the origin with "
        "CHATKIT_CORS_ORIGINS."
    )


class LinkExpired(ServerError):
    """The signature in a file's URL has expired or is invalid."""

    status = 403
    code = "link_expired"
    default_message = "This link to a file has expired. Please reload the conversation to get a new one."


class NotFound(ServerError):
    """The object does not exist, or belongs to another user: the two look alike on purpose."""

    status = 404
    code = "not_found"
    default_message = "This was not found. It may have been deleted."


class MethodNotAllowed(ServerError):
    """The address has other methods, which the header `Allow` lists."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, methods: Sequence[str]) -> None:
        super().__init__(f"This address takes {', '.join(methods)} only.")
        self.methods = methods


class Conflict(ServerError):
    """The current state does not allow the operation."""

    status = 409
    code = "conflict"
    default_message = "This cannot be done now."


class ThreadLocked(Conflict):
    """The thread is locked."""

    code = "thread_locked"
    default_message = "This conversation is locked and accepts no new messages."


class ThreadClosed(Conflict):
    """The thread is closed."""

    code = "thread_closed"
    default_message = "This conversation is closed. Please start a new one."


class ThreadAnswering(Conflict):
    """A turn is running on the thread, and the settings do not let a new message replace it."""

    code = "thread_answering"
    default_message = "The assistant is still answering. Please wait for it to finish, or stop it."


class AlreadyAnswered(Conflict):
    """The question already has an answer."""

    code = "already_answered"
    default_message = "This question was already answered."


class ItemReplaced(Conflict):
    """The item belongs to an answer that a retry replaced; an old tab still shows it."""

    code = "item_replaced"
    default_message = "This answer was replaced by a newer one. Please reload the conversation."


class ActionGone(Conflict):
    """The widget has changed and no longer offers this action: a second click, or an old tab."""

    code = "action_gone"
    default_message = "This card has changed and no longer offers this. Please reload the page."


class ActionRunning(Conflict):
    """The same action is still running for an earlier request."""

    code = "action_running"
    default_message = "This is still in progress. Please wait a moment, and reload the page."


class KeyReused(Conflict):
    """The idempotency key was already used for a different message."""

    code = "key_reused"
    default_message = "This idempotency key was used for another message. Please use a new key for each message."


class NotRetryable(Conflict):
    """A retry of a turn that is complete, still running, or not the last one of its thread."""

    code = "not_retryable"
    default_message = (
        "Only the last answer of a conversation can be retried, once it has failed or was stopped. "
        "Please send a new message instead."
    )


class AlreadyUploaded(Conflict):
    """The bytes of this attachment were already uploaded, or are being uploaded."""

    code = "already_uploaded"
    default_message = "This file was already uploaded. To send another one, attach it again."


class TooManyFiles(Conflict):
    """More files than a message may have, or than a user may upload without sending them."""

    code = "too_many_files"
    default_message = "Too many files."


class ApprovalClosed(Conflict):
    """The approval is no longer pending."""

    code = "approval_over"
    default_message = "This is no longer waiting for a decision."


class AssistantChanged(ApprovalClosed):
    """The agent, or the function that runs it, has changed so that a paused run cannot continue."""

    default_message = "This can no longer be run: the assistant has changed since it asked. Please ask again."


class BodyTooLarge(ServerError):
    """The request body exceeds the limit in the settings."""

    status = 413
    code = "body_too_large"
    default_message = "The message is too large. Please shorten it."


class TargetTooLong(ServerError):
    """The path or the query of the address is too long."""

    status = 414
    code = "target_too_long"
    default_message = "This address is too long."


class UpgradeRequired(ServerError):
    """The address is for WebSockets only."""

    status = 426
    code = "upgrade_required"
    default_message = "Open this address as a WebSocket (wss://…)."


class TooManyRequests(ServerError):
    """A limit that all users share is reached. A ChatKit frame gets the status as well: the widget says it itself."""

    status = 429
    code = "too_many_requests"
    allow_retry = True
    retry_after: int | None = 60
    default_message = "The server has too much to do right now. Please try again in a minute."


class TooManySockets(TooManyRequests):
    """The user, or all users together, have too many WebSockets open."""

    code = "too_many_sockets"
    default_message = "The server has too many open connections. Please try again in a minute."


class LimitReached(TooManyRequests):
    """A limit of the user, the chat session, the address or the thread is reached."""

    code = "limit_reached"
    default_message = "A limit is reached. Please try again later."

    def __init__(self, message: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.repeats = 1
        """How often this was said to the user lately."""


class FileTooLarge(BodyTooLarge):
    """The file exceeds the limit in the settings."""

    code = "file_too_large"
    default_message = "The file is too large."


class FilesTooLarge(BodyTooLarge):
    """The files of a message together exceed the limit for the model."""

    code = "files_too_large"
    default_message = "These files are too large for the model."


class UnsupportedFile(ServerError):
    """A file of a type that is not accepted, or whose content does not match its type."""

    status = 415
    code = "unsupported_file"
    default_message = "Files of this type are not accepted."


class NotAvailable(ServerError):
    """A feature of the protocol that is switched off or not implemented in this version."""

    status = 501
    code = "not_available"
    is_logged = False
    default_message = "This server does not offer this feature."


class ServerBusy(ServerError):
    """The worker gives as many answers as it may, and the queue is full or did not move in time."""

    status = 503
    code = "server_busy"
    allow_retry = True
    retry_after = 5
    is_logged = False
    default_message = "The server is busy right now. Please try again in a few seconds."

    def __init__(self, message: str | None = None, *, has_waited: bool = False) -> None:
        super().__init__(message)
        self.has_waited = has_waited
        """Whether the request was in the queue for as long as it may be, and not refused at once."""


class NotStarted(ServerError):
    """The lifespan of the server does not run."""

    status = 503
    code = "not_started"
    is_logged = False  # `services_of` does it, with the text
    default_message = (
        "The chat server has not been started: an app that mounts it starts it with "
        "`FastAPI(lifespan=lifespan_of(chat))`, with `from chatkit_server import lifespan_of`."
    )


class ServerStopping(ServerError):
    """No new turns while the server shuts down."""

    status = 503
    code = "server_stopping"
    allow_retry = True
    retry_after = 1
    default_message = "The server is restarting. Please try again in a moment."


class AnswerInterrupted(ServerError):
    """The worker running the turn died or shut down before the answer was complete."""

    status = 503
    code = "interrupted"
    allow_retry = True
    default_message = "The server restarted before the answer was complete. The part so far is saved; please retry."


class DatabaseUnavailable(ServerError):
    """The store could not be reached or written."""

    status = 503
    code = "database_unavailable"
    allow_retry = True
    default_message = "The conversation could not be read or saved just now. Please try again in a moment."


class LoginUnavailable(ServerError):
    """Nobody can say now whether the request is logged in: the issuer's keys could not be read."""

    status = 503
    code = "login_unavailable"
    allow_retry = True
    retry_after = 5
    is_logged = False
    default_message = "Your login could not be checked just now. Please try again in a moment."


class FilesUnavailable(ServerError):
    """The file storage could not be reached or written."""

    status = 503
    code = "files_unavailable"
    allow_retry = True
    default_message = "Files cannot be read or saved just now. Please try again in a moment."


class DictationFailed(ServerError):
    """The transcription endpoint failed; only the recording is lost."""

    status = 502
    code = "dictation_failed"
    default_message = "The recording could not be transcribed. Please try again."


class TurnFailed(ServerError):
    """The agent or its model failed after the message was accepted."""

    status = 502

    def __init__(self, code: str, message: str, *, allow_retry: bool, is_authors_text: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.allow_retry = allow_retry
        self.is_authors_text = is_authors_text


class AuthorRefusal(ServerError):
    """An `HTTPException` that the code of an adopted server raised, with its status and text."""

    status = 400
    code = "refused"
    is_authors_text = True
    default_message = "This was refused."

    def __init__(self, message: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
