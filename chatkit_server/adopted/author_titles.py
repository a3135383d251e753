"""The title of a thread that the author's code has not named: the first words of its first message.

It is set after a turn: before, the author's code must find the thread without a title, as chatkit's own server leaves
it, because it may name only such a thread.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from chatkit.types import Thread, ThreadMetadata, ThreadStreamEvent, ThreadUpdatedEvent, UserMessageItem

from chatkit_store import NotFound, SqlStore, StoreError

from ..context import RequestContext
from ..run.titles import first_words

FIRST_ITEMS = 20
"""Among how many items at the start of a thread its first message is looked for."""


async def with_first_title(
    events: AsyncGenerator[ThreadStreamEvent, None],
    store: SqlStore[RequestContext],
    thread_id: str,
    context: RequestContext,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Yield the events of a turn, however it ends, then that of the title if the thread has got it now."""
    failure: Exception | None = None
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except Exception as error:
        failure = error
    except BaseException:  # the turn was stopped: nobody reads another event
        await _name_by_first_words(store, thread_id, context)
        raise
    if (named := await _name_by_first_words(store, thread_id, context)) is not None:
        yield ThreadUpdatedEvent(thread=Thread(**named.model_dump(), items={"data": []}))
    if failure is not None:
        raise failure


async def _name_by_first_words(
    store: SqlStore[RequestContext], thread_id: str, context: RequestContext
) -> ThreadMetadata | None:
    """Name a thread that has no title, unless the session wants none. Return it if it got one. Raises nothing."""
    if context.session is not None and not context.session.has_titles:
        return None
    with suppress(StoreError, NotFound):  # of no consequence: the next turn tries again
        thread = await store.load_thread(thread_id, context)
        if thread.title is not None:
            return None
        page = await store.load_thread_items(thread_id, None, FIRST_ITEMS, "asc", context)
        message = next((item for item in page.data if isinstance(item, UserMessageItem)), None)
        title = None if message is None else first_words(message)
        if title is not None:
            return await store.name_thread(thread_id, title, context, instead_of=None)
    return None
