"""Client secrets for a page: of a user who is logged in here in another way, and the renewal of any session."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import AliasChoices, BaseModel, Field

from ..auth.door import log_refusal
from ..auth.session_issuer import IssuedSession, NewSession
from ..auth.session_login import client_secret
from ..auth.session_terms import EVERYTHING, Workflow
from ..errors.http import Conflict, NotAuthenticated
from ..services import services_of
from .error_responses import ERRORS
from .json_route import JsonRoute
from .openai_route import unix_seconds
from .sessions import check_enabled

router = APIRouter(prefix="/api/chatkit", tags=["sessions"], route_class=JsonRoute, responses=ERRORS)


class Renewal(BaseModel):
    """The body of `POST /api/chatkit/refresh`."""

    client_secret: Annotated[
        str | None,
        Field(
            max_length=200,
            validation_alias=AliasChoices("client_secret", "currentClientSecret"),
            description="The secret to renew; by default the bearer token.",
        ),
    ] = None


class ClientSecret(BaseModel):
    """A client secret, for `getClientSecret` of a page."""

    id: str
    """The session's: the same after a renewal."""
    client_secret: str
    expires_at: int
    """Unix seconds."""
    renewable_until: int
    """Unix seconds: no renewal is valid for longer."""


@router.post("/session", summary="A client secret for the logged-in user")
async def start_session(request: Request, response: Response) -> ClientSecret:
    """For a page that is logged in by another login, such as a cookie, and has code that wants a client secret."""
    services = services_of(request)
    check_enabled(services)
    context = await services.door.authenticate(request)
    if context.session is not None:
        raise Conflict("This request has a client secret already; renew it with POST /api/chatkit/refresh.")
    issued = await services.session_issuer.create_for_page(
        NewSession(
            owner=context.owner,
            user_name=context.user_name,
            is_anonymous=context.is_anonymous,
            workflow=Workflow(id=services.server.agents.first_id),
            configuration=EVERYTHING,
            requests_per_minute=None,
        )
    )
    services.door.remember(request, response, context)
    return _answer(issued, response)


@router.post("/refresh", summary="Renew a client secret")
async def refresh_session(request: Request, response: Response, body: Renewal | None = None) -> ClientSecret:
    """Return a new secret for the same session, with the same terms.

    A valid secret stays valid. One that expired a moment ago is renewed once; a cancelled one never.
    """
    services = services_of(request)
    check_enabled(services)
    secret = (body.client_secret if body is not None else None) or client_secret(request)
    try:
        if secret is None:
            raise NotAuthenticated(reason="no client secret to renew")
        return _answer(await services.session_issuer.renew(secret), response)
    except NotAuthenticated as error:
        log_refusal(error)
        raise


def _answer(issued: IssuedSession, response: Response) -> ClientSecret:
    return ClientSecret(
        id=issued.session.session_id,
        client_secret=issued.secret,
        expires_at=unix_seconds(issued.session.expires_at),
        renewable_until=unix_seconds(issued.session.renewable_until),
    )
