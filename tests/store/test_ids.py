import re
import threading

from chatkit.store import StoreItemType

from chatkit_store import SqlStore, new_id, open_engine
from tests.store.factories import ALICE, User, make_thread


def test_ids_have_a_prefix_and_32_hex_digits_of_a_version_7_uuid() -> None:
    assert re.fullmatch(r"turn_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", new_id("turn"))


def test_later_ids_are_greater_even_within_a_millisecond() -> None:
    ids = [new_id("msg") for _ in range(50_000)]
    assert ids == sorted(set(ids))


def test_threads_never_share_an_id() -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(new_id("x") for _ in range(5_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 20_000


def test_store_generates_ids_with_chatkits_prefixes() -> None:
    store: SqlStore[User] = SqlStore(open_engine("sqlite://"))
    types: tuple[StoreItemType, ...] = (
        "thread",
        "message",
        "tool_call",
        "workflow",
        "task",
        "attachment",
        "sdk_hidden_context",
    )
    prefixes = [store.generate_item_id(type, make_thread(), ALICE).partition("_")[0] for type in types]
    assert prefixes == ["thr", "msg", "tc", "wf", "tsk", "atc", "shcx"]
    assert store.generate_thread_id(ALICE).startswith("thr_")
