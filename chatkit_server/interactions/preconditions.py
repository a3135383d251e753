"""Checks before a request may touch a thread or an item: the thread is open, the item still exists for the user."""

from typing import Any

from chatkit.actions import Action
from chatkit.types import ClosedStatus, LockedStatus, ThreadItem, ThreadMetadata, WidgetItem

from ..context import RequestContext
from ..errors.http import ActionGone, InvalidItem, ItemReplaced, ThreadClosed, ThreadLocked
from .forms import with_submitted
from .host import InteractionHost


async def writable_thread(server: InteractionHost, thread_id: str, context: RequestContext) -> ThreadMetadata:
    """Return a thread that the user may add to. Raises `ThreadLocked`, `ThreadClosed` or `NotFoundError`."""
    thread = await server.store.load_thread(thread_id, context)
    check_writable(thread)
    return thread


def check_writable(thread: ThreadMetadata) -> None:
    """Raise `ThreadLocked` or `ThreadClosed` for a thread that the user may not add to."""
    match thread.status:
        case LockedStatus(reason=reason):
            raise ThreadLocked(reason)
        case ClosedStatus(reason=reason):
            raise ThreadClosed(reason)


async def current_item(
    server: InteractionHost, thread: ThreadMetadata, item_id: str, context: RequestContext
) -> ThreadItem:
    """Return an item that no retry has replaced. Raises `ItemReplaced` or `NotFoundError`."""
    item = await server.store.load_item(thread.id, item_id, context)
    if await server.sql_store.is_replaced(thread.id, item_id, context):
        raise ItemReplaced
    return item


async def submitted_sender(
    server: InteractionHost,
    thread: ThreadMetadata,
    item_id: str | None,
    action: Action[str, Any],
    context: RequestContext,
) -> tuple[WidgetItem | None, list[ThreadItem]]:
    """Return the widget that an action came from, with the submitted values in it, and the items to save for them.

    The widget is None for an action of the page. Raises `InvalidItem` for an item that is not a widget, `ItemReplaced`
    for one that a retry has replaced, `ActionGone` if the widget has changed and no longer offers the action.
    """
    if item_id is None:
        return None, []
    item = await current_item(server, thread, item_id, context)
    if not isinstance(item, WidgetItem):
        raise InvalidItem("An action can only come from a widget.")
    if server.refuses_withdrawn_actions and await server.sql_store.has_withdrawn_action(
        thread.id, item_id, action.type, context
    ):
        raise ActionGone
    submitted = with_submitted(item, action)
    return submitted, [] if submitted is item else [submitted]
