"""What a stranger may try with each operation of the protocol."""

from collections.abc import Mapping, Sequence

from tests.hostile.house import Ids
from tests.support.chatkit import Json, user_input

ANSWER = {"status": "answered", "answers": {"q1": {"values": ["a"]}}}
CHOOSE = {"type": "choose", "payload": {"a": "b"}}


def attempts_with(ids: Ids, own: Ids) -> Mapping[str, Sequence[Json]]:
    """Return parameters by operation: with `ids` of others, and with those beside `own` ones.

    Every operation of chatkit's types is here; `NAMES_NOTHING` has those whose parameters name nothing.
    """
    thread, own_thread = {"thread_id": ids.thread}, {"thread_id": own.thread}
    approve = _approve(ids)
    retry = {"item_id": ids.answer, "action": {"type": "chatkit.retry", "payload": {"item_id": ids.message}}}
    return {
        "threads.create": [{"input": user_input("mine", attachments=[file])} for file in (ids.attachment, ids.pending)],
        "threads.add_user_message": [
            thread | {"input": user_input("mine")},
            {"thread_id": ids.running_thread, "input": user_input("mine")},
            thread | {"input": user_input("mine", attachments=[own.attachment])},
            own_thread | {"input": user_input("mine", attachments=[ids.attachment])},
            own_thread | {"input": user_input("mine", attachments=[own.attachment, ids.attachment])},
        ],
        "threads.add_client_tool_output": [
            thread | {"result": {"a": 1}},
            {"thread_id": ids.running_thread, "result": None},
        ],
        "threads.add_structured_input": [
            thread | {"item_id": ids.question, "input": ANSWER},
            thread | {"item_id": own.question, "input": ANSWER},
            own_thread | {"item_id": ids.question, "input": ANSWER},
        ],
        "threads.retry_after_item": [
            thread | {"item_id": ids.message},
            thread | {"item_id": own.message},
            own_thread | {"item_id": ids.message},
        ],
        "threads.custom_action": [
            *_actions(ids, own, CHOOSE),
            *_actions(ids, own, {"type": "turn.attach"})[:1],
            {"thread_id": ids.running_thread, "action": {"type": "turn.attach"}},
            thread | {"item_id": ids.card, "action": approve},
            thread | {"item_id": own.card, "action": _approve(own)},
            own_thread | {"item_id": ids.card, "action": approve},
            own_thread | {"item_id": own.card, "action": approve},
            own_thread | {"item_id": ids.card, "action": _approve(own)},
            thread | retry,
            own_thread
            | {"item_id": ids.answer, "action": {"type": "chatkit.retry", "payload": {"item_id": ids.message}}},
        ],
        "threads.get_by_id": [thread, {"thread_id": ids.running_thread}],
        "threads.list": [
            {"limit": limit, "order": order, "after": ids.thread} for limit in (1, 9999) for order in ("asc", "desc")
        ],
        "threads.update": [thread | {"title": "mine"}, {"thread_id": ids.running_thread, "title": "mine"}],
        "threads.delete": [thread, {"thread_id": ids.running_thread}],
        "items.list": [
            thread | {"limit": 9, "order": "asc", "after": None},
            thread | {"limit": 9, "order": "asc", "after": ids.message},
            thread | {"limit": 9, "order": "desc", "after": own.message},
            own_thread | {"limit": 9, "order": "asc", "after": ids.message},
            own_thread | {"limit": 9, "order": "desc", "after": ids.message},
            {"thread_id": ids.running_thread, "limit": 9, "order": "asc", "after": None},
        ],
        "items.feedback": [
            thread | {"item_ids": [ids.answer], "kind": "negative"},
            thread | {"item_ids": [own.answer], "kind": "negative"},
            own_thread | {"item_ids": [ids.answer], "kind": "negative"},
            own_thread | {"item_ids": [own.answer, ids.answer], "kind": "negative"},
        ],
        "attachments.create": [],
        "attachments.delete": [{"attachment_id": ids.attachment}, {"attachment_id": ids.pending}],
        "input.transcribe": [],
        "threads.sync_custom_action": _actions(ids, own, CHOOSE),
    }


NAMES_NOTHING: Mapping[str, Json] = {
    "threads.create": {"input": user_input("mine")},
    "threads.list": {"limit": 9999, "order": "desc"},
    "attachments.create": {"name": "a.txt", "size": 3, "mime_type": "text/plain"},
    "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/webm;codecs=opus"},
}
"""Operations that a stranger may send: they must return nothing of others."""


def _actions(ids: Ids, own: Ids, action: Json) -> list[Json]:
    return [
        {"thread_id": ids.thread, "action": action},
        {"thread_id": ids.thread, "item_id": ids.widget, "action": action},
        {"thread_id": ids.thread, "item_id": own.widget, "action": action},
        {"thread_id": own.thread, "item_id": ids.widget, "action": action},
    ]


def _approve(ids: Ids) -> Json:
    return {"type": "chatkit.approval", "payload": {"approval_id": ids.approval, "decision": "approved"}}
