"""Notices: widget items that tell the user how the thread's last turn ended. They are not a part of the conversation.

A notice has the role `notice`. Only pages for the user show it (`load_visible_items`); the history, a turn's items and
feedback leave it out. The next turn of the thread removes it.
"""

from sqlalchemy import Connection, bindparam, delete, literal_column, or_

from chatkit_store.tables import thread_items

ROLE = "notice"
PREFIX = "turn_notice_"  # unlikely to be the prefix of an agent's own ids

i = thread_items.c


def is_notice_id(item_id: str) -> bool:
    """Return whether an item with this id is a notice."""
    return item_id.startswith(PREFIX)


def notice_id(turn_id: str) -> str:
    """Return the id of the notice about a turn's end: always the same, so that saving it again adds no second one."""
    return PREFIX + turn_id.removeprefix("turn_")


def remove_notices(connection: Connection, thread_id: str) -> list[str]:
    """Delete the thread's notices that no retry has replaced, and return their ids."""
    return list(connection.scalars(REMOVE, {"thread": thread_id}).all())


def remove_older_notices(connection: Connection, thread_id: str, turn_id: str, newest_id: str) -> None:
    """Delete the thread's other notices, those that this turn has replaced included."""
    connection.execute(_REMOVE_OLDER, {"thread": thread_id, "turn": turn_id, "item": newest_id})


IS_PART = i.role != ROLE
"""Whether an item is a part of the conversation."""
# A literal, as in the partial index: with a parameter the database could not know that the index applies.
_NOTICES = (i.thread_id == bindparam("thread"), i.role == literal_column(f"'{ROLE}'"))
REMOVE = delete(thread_items).where(*_NOTICES, i.replaced_by.is_(None)).returning(i.id)
_REMOVE_OLDER = delete(thread_items).where(
    *_NOTICES, i.id != bindparam("item"), or_(i.replaced_by.is_(None), i.replaced_by == bindparam("turn"))
)
