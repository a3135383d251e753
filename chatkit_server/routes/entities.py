"""What a user can mention: the widget's `entities` option asks here."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ..composer.mentions import MAX_ENTITIES, MAX_QUERY, Entities, Entity, EntityPreview
from ..events.frames import serialize
from ..services import services_of

router = APIRouter(prefix="/api/entities", tags=["page"])


@router.get("", summary="What can be mentioned", response_model_exclude_none=True)
async def search(request: Request, q: Annotated[str, Query(max_length=MAX_QUERY)] = "") -> Entities:
    """What fits what was typed behind the @, of what this user may see; nothing where the server has no search."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    found = await services.server.search_entities(q.strip(), context)
    return Entities(entities=found[:MAX_ENTITIES])


@router.post("/preview", summary="A widget about something that was mentioned", response_model=EntityPreview)
async def preview(request: Request, entity: Entity) -> Response:
    """`preview` is null where there is none. What the page says of the entity is checked by the server class."""
    services = services_of(request)
    context = services.auth.authenticate(request)
    widget = await services.server.preview_entity(entity, context)
    shown = b"null" if widget is None else serialize(widget)  # as in a stream: without what a component does not set
    return Response(b'{"preview":%b}' % shown, media_type="application/json")
