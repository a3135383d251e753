"""The function that makes a run's context: which parameters it may have."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from chatkit.store import Store
from chatkit.types import ThreadMetadata
from starlette.requests import HTTPConnection, Request

from chatkit_server import RequestContext
from chatkit_server.agents.context_function import ContextFunction
from chatkit_server.errors.setup import SetupError

THREAD = ThreadMetadata(id="thr_1", created_at=datetime.now(UTC))
REQUEST = Request({"type": "http", "headers": []})
CONTEXT = RequestContext(user_id="ada", connection=REQUEST)
STORE = cast(Store[RequestContext], object())


def nothing() -> Any:
    return ()


def by_name(store: Any, thread: Any, context: Any, request_context: Any, request: Any, other: int = 5) -> Any:
    return store, thread, context, request_context, request, other


def by_class(
    a: Store[RequestContext], b: ThreadMetadata, c: RequestContext, /, *, d: HTTPConnection, **more: Any
) -> Any:
    return a, b, c, c, d, 5


async def awaited(rc: RequestContext) -> str:
    return rc.user_id


class Callable_:
    def __call__(self, rc: RequestContext) -> str:
        return rc.user_id


@pytest.mark.parametrize(
    ("function", "made"),
    [
        (nothing, ()),
        (by_name, (STORE, THREAD, CONTEXT, CONTEXT, REQUEST, 5)),
        (by_class, (STORE, THREAD, CONTEXT, CONTEXT, REQUEST, 5)),
        (awaited, "ada"),
        (Callable_(), "ada"),
        (lambda context: context.user_id, "ada"),
    ],
)
async def test_it_gets_what_it_asks_for(function: Any, made: Any) -> None:
    assert await ContextFunction(function, "f").make(THREAD, CONTEXT, STORE) == made


def of_query(query: str, limit: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (of_query, "f has the parameters query, limit; it can have thread, context, request_context, request, store."),
        (lambda ctx: ctx, "f has the parameter ctx; it can have"),
        (5, "f is not a function"),
    ],
)
def test_what_it_may_not_ask_for(function: Any, words: str) -> None:
    with pytest.raises(SetupError) as failure:
        ContextFunction(function, "f")
    assert str(failure.value).startswith(words)


def test_what_it_returns_is_known_from_its_annotation() -> None:
    assert ContextFunction(awaited, "f").returned is str
    assert ContextFunction(Callable_(), "f").returned is str
    assert ContextFunction(lambda: 5, "f").returned is Any
