"""`/v1/chatkit/sessions`: chat sessions as the customer's backend makes and cancels them with OpenAI's client."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictInt, StrictStr, field_validator

from chatkit_store import Owner, SessionStatus

from ..agents.workflows import UnknownWorkflow
from ..auth.login import MAX_ID, is_identifier
from ..auth.session_issuer import IssuedSession, NewSession
from ..auth.session_terms import MAX_COUNT, Configuration, Count, SessionPart, Workflow
from ..errors.http import NotAvailable, NotFound
from ..services import Services, services_of
from .openai_errors import InvalidField, OpenAiErrorBody
from .openai_route import OPENAI_ERRORS, OpenAiRoute, unix_seconds

NOT_ENABLED = {"model": OpenAiErrorBody, "description": "CHATKIT_AUTH does not include `session`"}

router = APIRouter(
    prefix="/v1/chatkit",
    tags=["sessions"],
    route_class=OpenAiRoute,
    responses=OPENAI_ERRORS | {501: NOT_ENABLED},
)

DEFAULT_REQUESTS = 10
NO_SESSIONS = (
    "This server does not take client secrets. Its administrator can add `session` to CHATKIT_AUTH, such as "
    "CHATKIT_AUTH=session."
)
"""Does not say which logins there are: strangers read it, too."""


class ExpiresAfter(SessionPart):
    """`expires_after`."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[StrictInt, Field(ge=1, le=MAX_COUNT)]


class RateLimits(SessionPart):
    """`rate_limits`."""

    max_requests_per_1_minute: Count = DEFAULT_REQUESTS


class CreateSession(SessionPart):
    """The body of `POST /v1/chatkit/sessions`."""

    user: Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID)]
    workflow: Workflow
    expires_after: ExpiresAfter | None = None
    rate_limits: RateLimits = RateLimits()
    chatkit_configuration: Configuration = Configuration()
    tenant: Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID)] = ""
    """Not in OpenAI's API: their client sends it as `extra_body={"tenant": ...}`."""
    user_name: Annotated[StrictStr, Field(min_length=1, max_length=255)] | None = None
    """Not in OpenAI's API: how the agent may address the user."""

    @field_validator("user", "tenant")
    @classmethod
    def _can_name_somebody(cls, value: str) -> str:
        if not is_identifier(value):
            raise ValueError("must not begin or end with a space, nor contain control characters")
        return value


class ChatSessionBody(BaseModel):
    """A session as OpenAI's API returns it."""

    id: str
    object: Literal["chatkit.session"] = "chatkit.session"
    client_secret: str
    """Empty in any answer but that to its creation."""
    expires_at: int
    """Unix seconds."""
    status: SessionStatus
    user: str
    max_requests_per_1_minute: int
    rate_limits: RateLimits
    workflow: Workflow
    chatkit_configuration: Configuration


@router.post("/sessions", summary="Make a chat session for a user; needs an API key")
async def create_session(body: CreateSession, request: Request) -> ChatSessionBody:
    """Return the session with its `client_secret`, which the user's page sends as a bearer token."""
    services = _services_with_sessions(request)
    new = NewSession(
        owner=Owner(body.tenant, body.user),
        user_name=body.user_name,
        workflow=_known(body.workflow, services),
        configuration=body.chatkit_configuration,
        requests_per_minute=body.rate_limits.max_requests_per_1_minute,
        seconds=_seconds(body.expires_after, services),
    )
    return _body(await services.session_issuer.create(new))


@router.post("/sessions/{session_id}/cancel", summary="Cancel a chat session; needs an API key")
async def cancel_session(session_id: str, request: Request) -> ChatSessionBody:
    """End all client secrets of the session at once. A stream that has begun goes on. A second time changes nothing."""
    session = await _services_with_sessions(request).session_issuer.cancel(session_id)
    if session is None:
        raise NotFound("There is no session with this id.")
    return _body(IssuedSession("", session))


def _services_with_sessions(request: Request) -> Services:
    services = services_of(request)
    check_enabled(services)
    return services


def check_enabled(services: Services) -> None:
    """Raise `NotAvailable`, with the setting to change, if the server takes no client secrets."""
    if not services.session_issuer.is_enabled:
        raise NotAvailable(NO_SESSIONS)


def _known(workflow: Workflow, services: Services) -> Workflow:
    try:
        services.server.agents.find(workflow.id)
    except UnknownWorkflow as error:
        raise InvalidField("workflow.id", f"Invalid value for 'workflow.id': {error}") from None
    return workflow


def _seconds(expires_after: ExpiresAfter | None, services: Services) -> int | None:
    longest = services.settings.session_max_seconds
    if expires_after is not None and expires_after.seconds > longest:
        raise InvalidField(
            "expires_after.seconds",
            f"Invalid value for 'expires_after.seconds': at most {longest} are allowed (CHATKIT_SESSION_MAX_SECONDS).",
        )
    return None if expires_after is None else expires_after.seconds


def _body(issued: IssuedSession) -> ChatSessionBody:
    session = issued.session
    requests = session.requests_per_minute or MAX_COUNT
    return ChatSessionBody(
        id=session.session_id,
        client_secret=issued.secret,
        expires_at=unix_seconds(session.expires_at),  # the secret is valid until then at least
        status=session.status,
        user=session.user_id,
        max_requests_per_1_minute=requests,
        rate_limits=RateLimits(max_requests_per_1_minute=requests),
        workflow=Workflow.model_validate_json(session.workflow),
        chatkit_configuration=Configuration.model_validate_json(session.configuration),
    )
