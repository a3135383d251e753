"""What the page may offer, so that the widget is configured from the server and not twice."""

from fastapi import APIRouter, Request, Response

from ..composer.offers import Offers
from ..services import services_of

router = APIRouter(prefix="/api/chatkit", tags=["page"])


@router.get("/options", summary="What the widget may offer", response_model_exclude_none=True)
async def options(request: Request, response: Response) -> Offers:
    """Entries have the shapes of the widget's options in `@openai/chatkit`."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    response.headers["cache-control"] = "no-cache"
    return services.server.offers(context)
