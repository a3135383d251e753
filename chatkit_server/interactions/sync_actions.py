"""Actions that answer at once, with one item (`streaming: false`)."""

from collections.abc import Callable

from chatkit.types import ThreadItem, ThreadsSyncCustomActionReq, WidgetItem

from ..context import RequestContext
from ..errors.http import InvalidItem
from ..events.frames import serialize
from ..run.server import ChatServer
from .forms import with_submitted, with_values_since
from .once import Joining, action_key
from .preconditions import submitted_sender, writable_thread


class SyncActions:
    """Answers them, the same one that comes twice once."""

    def __init__(self, server: ChatServer, worker_id: str) -> None:
        self._server = server
        self._joining = Joining(server.sql_store.sync_actions, worker_id)

    async def answer(self, request: ThreadsSyncCustomActionReq, context: RequestContext) -> bytes:
        """The JSON answer. Raises as `Joining.do_once`."""
        key = action_key(request.params, context)
        return await self._joining.do_once(
            key, request.params.thread_id, lambda: _answer(request, self._server, context), context
        )


async def _answer(request: ThreadsSyncCustomActionReq, server: ChatServer, context: RequestContext) -> bytes:
    """What was submitted is saved before the handler runs, and the item that it answers with after (T20), both into
    the widget as it is at that moment: other actions of it may have been answered meanwhile."""
    params = request.params
    thread = await writable_thread(server, params.thread_id, context)
    sender, changed = await submitted_sender(server, thread, params.item_id, params.action, context)
    if sender is not None and changed:
        sender = await _change_widget(server, sender, lambda now: with_submitted(now, params.action), context)
    seen = None if sender is None else sender.model_copy(deep=True)  # the handler may change its own
    response = await server.sync_action(thread, params.action, sender, context)
    item = response.updated_item
    if isinstance(item, WidgetItem) and seen is not None and item.id == seen.id:
        answer, before = item, seen
        item = await _change_widget(server, seen, lambda now: with_values_since(answer, before, now), context)
    elif item is not None:
        await server.sql_store.add_thread_items(thread.id, [item], context)
    return serialize(response.model_copy(update={"updated_item": item}))


async def _change_widget(
    server: ChatServer, widget: WidgetItem, change: Callable[[WidgetItem], WidgetItem], context: RequestContext
) -> WidgetItem:
    """The widget as `change` has made it of what it is now. Raises `InvalidItem` where it is none any more."""

    def change_item(now: ThreadItem) -> WidgetItem:
        if not isinstance(now, WidgetItem):
            raise InvalidItem("An action can only come from a widget.")
        return change(now)

    changed = await server.sql_store.change_item(widget.thread_id, widget.id, change_item, context)
    assert isinstance(changed, WidgetItem)
    return changed
