"""Record which actions a widget has ever offered, to tell outdated actions from invented ones."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from chatkit_store.database import insert_into
from chatkit_store.owner import HasUser, owned, owner_values
from chatkit_store.tables import thread_items, widget_actions

i = thread_items.c
w = widget_actions.c


def save_offers(connection: Connection, dialect: str, rows: Sequence[dict[str, Any]]) -> None:
    """Save the action types that the widgets among these rows offer."""
    offers = [
        {"item_id": row["id"], "type": type}
        for row in rows
        if row["type"] == "widget"
        for type in sorted(offered_types(row["payload"]))
    ]
    if offers:
        connection.execute(insert_into(widget_actions, dialect).on_conflict_do_nothing(), offers)


def is_withdrawn(connection: Connection, thread_id: str, item_id: str, type: str, context: HasUser) -> bool:
    """Return whether the widget used to offer an action of this type and no longer does."""
    values = {"thread": thread_id, "item": item_id, "type": type, **owner_values(context)}
    payload: str | None = connection.scalar(_ONCE_OFFERED, values)
    return payload is not None and type not in offered_types(payload)


_ONCE_OFFERED = (
    select(i.payload)
    .join(widget_actions, w.item_id == i.id)
    .where(
        i.id == bindparam("item"),
        w.type == bindparam("type"),
        owned(thread_items),
    )
)


def offered_types(payload: str) -> set[str]:
    """Return the action types in a widget item's JSON."""
    return set(_types(json.loads(payload).get("widget")))


def _types(value: Any, key: str = "") -> Iterator[str]:
    match value:
        case {"type": str() as type} if key == "action" or key.endswith("Action"):
            yield type
        case dict():
            for name, entry in value.items():
                yield from _types(entry, name)
        case list():
            for entry in value:
                yield from _types(entry)
