"""A server that has answered many turns keeps nothing of them: no object, and no entry of a container, for each."""

import asyncio
import gc
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import compress
from typing import Any, TypeVar
from weakref import ReferenceType

import pytest

from tests.support.openai_answers import Answer
from tests.turns.chat import Chat

WARM_UP, VISITORS, AT_ONCE = 48, 30, 6
"""How many visitors ask, twice each."""
A_LEAK = VISITORS * 0.8
CONTAINERS = frozenset({dict, list, set, OrderedDict, deque})
T = TypeVar("T")
KEPT_SECONDS = 0.7
"""What is kept of a turn for a while after its end: half a second, until it is known whether its client stayed."""


async def ask(chat: Chat, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(ask_once(chat) for _ in range(AT_ONCE)))
        chat.upstream.requests.clear()
    await asyncio.sleep(KEPT_SECONDS)
    gc.collect()


async def ask_once(chat: Chat) -> None:
    async with chat.tab() as tab:
        reply = await tab.create("Hello")
        assert (reply.text, reply.error) == ("one two three", None)
        assert (await tab.send(reply.thread_id, "Again")).error is None


def kinds() -> Counter[str]:
    """Count the objects of each class, but for weak references (see `has_limit`)."""
    counts = Counter(map(type, gc.get_objects()))
    del counts[ReferenceType]
    names: Counter[str] = Counter()
    for kind, count in counts.items():
        names[f"{kind.__module__}.{kind.__qualname__}"] += count
    return names


def sizes() -> dict[int, int]:
    """Return the length of each container by its id: a reference would keep it, and what it contains."""
    return {id(thing): len(thing) for thing in containers()}


def containers() -> Iterator[Any]:
    """Return all containers, some twice. The collector does not know dicts of nothing but texts and numbers.

    There are millions of objects: none of them is touched in Python.
    """
    things = gc.get_objects()
    things += gc.get_referents(*things)
    return compress(things, map(CONTAINERS.__contains__, map(type, things)))


@pytest.mark.no_cover
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_kept_for_each_turn(chat: Chat) -> None:
    chat.upstream.default = Answer("one two three")
    gc.unfreeze()  # what was imported may have grown, too
    await ask(chat, WARM_UP)
    counts, lengths = [kinds()], [sizes()]
    for _ in range(2):
        await ask(chat, VISITORS)
        counts.append(kinds())
        lengths.append(sizes())
    assert grown(*counts) == []
    ids = set(grown(*lengths))
    assert [str(thing)[:300] for thing in containers() if id(thing) in ids and not has_limit(thing)] == []


def has_limit(container: Any) -> bool:
    """Return whether it is the dict of an `lru_cache` with a size, or the list of a connection's cursors.

    sqlite3 keeps a weak reference to each, and looks after every 200 of them which are gone.
    """
    if isinstance(container, list):
        return all(type(entry) is ReferenceType for entry in container)
    return isinstance(container, dict) and any("_lru_list_elem" in str(type(value)) for value in container.values())


def grown(first: Mapping[T, int], second: Mapping[T, int], third: Mapping[T, int]) -> list[T]:
    """Return what has grown with the turns, and again with the next ones."""
    both = [key for key in third if key in first and key in second]
    return [key for key in both if min(second[key] - first[key], third[key] - second[key]) >= A_LEAK]
