"""Non-streaming actions, answered with one item (`streaming: false`)."""

from collections.abc import Callable

from chatkit.types import ThreadItem, ThreadsSyncCustomActionReq, WidgetItem

from ..context import RequestContext
from ..errors.http import InvalidItem
from ..events.frames import serialize
from .forms import with_submitted, with_values_since
from .host import InteractionHost
from .once import OnceRunner
from .preconditions import submitted_sender, writable_thread


class SyncActions:
    """Answers these actions; equal ones that arrive together run once."""

    def __init__(self, server: InteractionHost, once: OnceRunner) -> None:
        self._server = server
        self._once = once

    async def answer(self, request: ThreadsSyncCustomActionReq, context: RequestContext) -> bytes:
        """Return the JSON answer. Raises as `OnceRunner.do_once`."""
        return await self._once.do_once(request.params, lambda: _answer(request, self._server, context), context)


async def _answer(request: ThreadsSyncCustomActionReq, server: InteractionHost, context: RequestContext) -> bytes:
    """Save what was submitted, run the handler, and save its item.

    Both writes change the widget as it is at that moment, because other actions of it may be answered in between.
    """
    params = request.params
    thread = await writable_thread(server, params.thread_id, context)
    sender, changed = await submitted_sender(server, thread, params.item_id, params.action, context)
    if sender is not None and changed:
        sender = await _change_widget(server, sender, lambda current: with_submitted(current, params.action), context)
    before = None if sender is None else sender.model_copy(deep=True)  # the handler may change `sender` in place
    response = await server.sync_action(thread, params.action, sender, context)
    item = response.updated_item
    if isinstance(item, WidgetItem) and before is not None and item.id == before.id:
        answer, old = item, before
        item = await _change_widget(server, old, lambda current: with_values_since(answer, old, current), context)
    elif item is not None:
        await server.sql_store.add_thread_items(thread.id, [item], context)
    return serialize(response.model_copy(update={"updated_item": item}))


async def _change_widget(
    server: InteractionHost, widget: WidgetItem, change: Callable[[WidgetItem], WidgetItem], context: RequestContext
) -> WidgetItem:
    """Apply `change` to the stored widget and return the result. Raises `InvalidItem` if it is not a widget by now."""

    def change_item(current: ThreadItem) -> WidgetItem:
        if not isinstance(current, WidgetItem):
            raise InvalidItem("An action can only come from a widget.")
        return change(current)

    changed = await server.sql_store.change_item(widget.thread_id, widget.id, change_item, context)
    assert isinstance(changed, WidgetItem)
    return changed
