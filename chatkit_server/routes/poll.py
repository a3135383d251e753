"""The state of a turn, for clients that poll."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from ..plain.answers import EXAMPLE_ANSWER, Answer, load_answer
from ..services import services_of
from .error_responses import ERRORS

router = APIRouter(prefix="/api", tags=["turns"])

EXAMPLE = {"id": EXAMPLE_ANSWER["turn_id"]} | EXAMPLE_ANSWER | {"status": "running", "text": "4", "ended_at": None}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": EXAMPLE}}},
    304: {"description": "Nothing has changed since the response with that `ETag`"},
}


class TurnState(Answer):
    """A turn as a resource."""

    id: str


@router.get(
    "/turns/{turn_id}",
    summary="A turn: its status and its text so far",
    response_model=TurnState,
    responses=RESPONSES | ERRORS,
)
async def poll_turn(turn_id: str, request: Request, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Return a running or ended turn; 304 if nothing has changed since the `ETag` in `If-None-Match`."""
    services = services_of(request)
    context = await services.door.authenticate(request)
    answer = await load_answer(turn_id, services, context)
    body = TurnState(id=answer.turn_id, **answer.model_dump()).model_dump_json().encode()
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"etag": tag}
    if _matches(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _matches(if_none_match: str, tag: str) -> bool:
    """Compare weakly (RFC 9110, 13.1.2): a proxy that compresses marks the tag as weak."""
    tags = [candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")]
    return tag in tags or tags == ["*"]
