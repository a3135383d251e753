"""Search and preview what a user can mention, for the widget's `entities` option."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ..composer.mentions import MAX_ENTITIES, MAX_QUERY, Entities, Entity, EntityPreview
from ..events.frames import serialize
from ..services import services_of
from .error_responses import ERRORS
from .json_route import JsonRoute

router = APIRouter(prefix="/api/entities", tags=["page"], responses=ERRORS, route_class=JsonRoute)


@router.get("", summary="Search what can be mentioned", response_model_exclude_none=True)
async def search(request: Request, q: Annotated[str, Query(max_length=MAX_QUERY)] = "") -> Entities:
    """Return the entities this user may see that match the text after the @; none if the server has no search."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    entities = await services.server.search_entities(q.strip(), context)
    return Entities(entities=entities[:MAX_ENTITIES])


@router.post("/preview", summary="A widget about a mentioned entity", response_model=EntityPreview)
async def preview_entity(request: Request, entity: Entity) -> Response:
    """`preview` is null if there is none. The server class must verify what the page sends about the entity."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    widget = await services.server.preview_entity(entity, context)
    preview = b"null" if widget is None else serialize(widget)  # without unset fields, as in a stream
    return Response(b'{"preview":%b}' % preview, media_type="application/json")
