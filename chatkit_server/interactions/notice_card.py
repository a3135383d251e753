"""The card that says, after a reload, why the last answer is missing or incomplete, and offers Retry.

The widget shows that only to those who read the turn, and forgets it with the page. So the turn's end saves this card
(a notice, see `chatkit_store.notices`) without streaming it; the thread's next turn removes it.
"""

from datetime import UTC, datetime
from typing import Any

from chatkit.actions import Action
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem, WidgetItem
from chatkit.widgets import DynamicWidgetRoot

from chatkit_store import is_notice_id, notice_id

from ..context import RequestContext
from ..errors.failures import NOTICES
from ..errors.http import ActionGone, InvalidItem, ServerError
from .host import InteractionHost
from .preconditions import current_item

ACTION = "chatkit.retry"
"""The action of the button; its payload is `{"item_id": ...}`, the message to answer again, or empty for the last."""
RETRY_LABEL = "Retry"


def is_notice(item: ThreadItem) -> bool:
    """Return whether the item is a notice, which is not a part of the conversation."""
    return is_notice_id(item.id)


def cut_notice(code: str, turn_id: str, thread_id: str) -> WidgetItem:
    """Return the notice for a turn whose answer is complete for its provider, but not for its readers."""
    return _item(notice_id(turn_id), thread_id, NOTICES[code], [])


def failure_notice(error: ServerError, turn_id: str, thread_id: str, message_id: str | None) -> WidgetItem:
    """Return the notice for a turn that ended with `error`, with Retry if that can help.

    `message_id` is the message that the turn answered; None if it answered something else.
    """
    payload = {} if message_id is None else {"item_id": message_id}
    action = {"type": ACTION, "payload": payload}
    button = {"type": "Button", "label": RETRY_LABEL, "variant": "outline", "size": "sm", "onClickAction": action}
    buttons = [{"type": "Row", "children": [button]}] if error.allow_retry else []
    return _item(notice_id(turn_id), thread_id, error.message, buttons)


def _item(item_id: str, thread_id: str, text: str, buttons: list[Any]) -> WidgetItem:
    children = [{"type": "Text", "value": text, "size": "sm", "color": "secondary"}, *buttons]
    card = {"type": "Card", "size": "sm", "children": children}
    return WidgetItem(
        id=item_id,
        thread_id=thread_id,
        created_at=datetime.now(UTC),
        widget=DynamicWidgetRoot.model_validate(card),
        copy_text=text,
    )


def is_retry(action: Action[str, Any]) -> bool:
    """Return whether the action comes from the button of a notice."""
    return action.type == ACTION


async def message_to_retry(
    server: InteractionHost,
    thread: ThreadMetadata,
    action: Action[str, Any],
    item_id: str | None,
    context: RequestContext,
) -> UserMessageItem:
    """Return the message that a click on Retry answers again.

    Raises `ActionGone` if the notice is no longer there, `ItemReplaced` if another retry has replaced it, and
    `InvalidItem` if there is no message of the user.
    """
    if item_id is None or not is_notice_id(item_id):
        raise InvalidItem("This Retry can only come from the card that says why an answer is missing.")
    if not await server.sql_store.saved_ids(thread.id, [item_id], context):
        raise ActionGone("This was already retried or answered. Please reload the page.")
    await current_item(server, thread, item_id, context)
    match action.payload:
        case {"item_id": str() as message_id}:
            candidates = [await current_item(server, thread, message_id, context)]
        case _:
            candidates = (await server.sql_store.load_since_user(thread.id, context)).items[:1]
    for item in candidates:
        if isinstance(item, UserMessageItem):
            return item
    raise InvalidItem("There is no message to answer again.")
