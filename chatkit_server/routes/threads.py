"""`/v1/chatkit/threads`: the threads of all users, for administrators' scripts that use OpenAI's client.

These routes need an admin key: a user's own threads are read by `POST /chatkit`.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from openai.types.beta.chatkit import ChatKitThread, ChatKitThreadItemList, ThreadDeleteResponse
from pydantic import BaseModel, Field

from chatkit_store import Between, Cursors, NotFound, Owner

from ..context import RequestContext
from ..errors.http import AdminKeyNeeded
from ..services import services_of
from .linked import LinkedResponse
from .openai_errors import InvalidField, OpenAiErrorBody
from .openai_items import openai_item, openai_thread
from .openai_route import OPENAI_ERRORS, OpenAiRoute

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def _check_admin(request: Request) -> None:
    if not request.state.api_caller.is_admin:
        raise AdminKeyNeeded


router = APIRouter(
    prefix="/v1/chatkit/threads",
    tags=["threads"],
    route_class=OpenAiRoute,
    responses=OPENAI_ERRORS | {403: {"model": OpenAiErrorBody, "description": "The API key is not an admin key"}},
    dependencies=[Depends(_check_admin)],
)


class ThreadList(BaseModel):
    """A page of threads."""

    object: Literal["list"] = "list"
    data: list[ChatKitThread]
    first_id: str | None
    last_id: str | None
    has_more: bool


class PageQuery(BaseModel):
    """Which page of a list."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None

    @property
    def cursors(self) -> Cursors:
        """Where the page begins and ends. An empty cursor is none."""
        return Cursors(self.after or None, self.before or None)


class ThreadsQuery(PageQuery):
    """Which page of the threads."""

    user: str | None = None
    tenant: str | None = None
    """Not in OpenAI's API: their client sends it as `extra_query={"tenant": ...}`. Without it, those of all tenants."""


@router.get("", summary="List threads, of all users or one; needs an admin key")
async def list_threads(query: Annotated[ThreadsQuery, Query()], request: Request) -> ThreadList:
    """Return a page of threads by their creation."""
    store = services_of(request).all_threads
    try:
        page = await store.load_threads(
            query.cursors, query.limit, query.order, user_id=query.user, tenant=query.tenant
        )
    except NotFound as error:
        raise _bad_cursor(query, error) from None
    data = [openai_thread(owned) for owned in page.data]
    return ThreadList(data=data, **_ends(page, [thread.id for thread in data]))


@router.get("/{thread_id}", summary="Return a thread; needs an admin key")
async def retrieve_thread(thread_id: str, request: Request) -> ChatKitThread:
    """Return the thread and whose it is."""
    return openai_thread(await services_of(request).all_threads.load_thread(thread_id))


@router.delete("/{thread_id}", summary="Delete a thread; needs an admin key")
async def delete_thread(thread_id: str, request: Request) -> ThreadDeleteResponse:
    """Delete a thread with its items and files. A turn that runs on it is stopped first."""
    services = services_of(request)
    context = _context(request, (await services.all_threads.load_thread(thread_id)).owner)
    async with services.turns.alone(thread_id, "deleted", context):
        await services.store.delete_thread(thread_id, context)
    return ThreadDeleteResponse(id=thread_id, object="chatkit.thread.deleted", deleted=True)


@router.get(
    "/{thread_id}/items",
    summary="List the items of a thread; needs an admin key",
    response_model=ChatKitThreadItemList,
)
async def list_items(thread_id: str, query: Annotated[PageQuery, Query()], request: Request) -> Response:
    """Return a page of the conversation; previews of files are URLs that end after CHATKIT_LINK_SECONDS."""
    services = services_of(request)
    owner = (await services.all_threads.load_thread(thread_id)).owner
    try:
        page = await services.all_threads.load_items(thread_id, query.cursors, query.limit, query.order)
    except NotFound as error:
        raise _bad_cursor(query, error) from None
    data = [openai_item(item) for item in page.data]
    answer = ChatKitThreadItemList(object="list", data=data, **_ends(page, [item.id for item in data]))
    response = Response(answer.model_dump_json(), media_type="application/json")
    return LinkedResponse(response, services.links, _context(request, owner), request)


def _context(request: Request, owner: Owner) -> RequestContext:
    """Return the context of the owner, for the parts that act for one user."""
    return RequestContext(owner.user_id, request.state.request_id, tenant=owner.tenant)


def _ends(page: Between[Any], ids: list[str]) -> dict[str, Any]:
    return {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": page.has_more}


def _bad_cursor(query: PageQuery, error: NotFound) -> InvalidField | NotFound:
    """Return the error for a cursor that does not exist; `error` itself if it is about the thread."""
    for name, cursor in (("after", query.after), ("before", query.before)):
        if cursor == error.id:
            return InvalidField(name, f"Invalid value for '{name}': there is nothing with this id in the list.")
    return error
