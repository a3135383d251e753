"""Serve the widget's options, so that they are configured in one place."""

from fastapi import APIRouter, Request, Response

from ..composer.offers import Offers
from ..services import services_of
from .error_responses import ERRORS

router = APIRouter(prefix="/api/chatkit", tags=["page"], responses=ERRORS)


@router.get("/options", summary="The options of the widget", response_model_exclude_none=True)
async def options(request: Request, response: Response) -> Offers:
    """Return the options in the shapes of `@openai/chatkit`."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    response.headers["cache-control"] = "private, no-cache"
    return services.server.offers(context)
