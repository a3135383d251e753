"""The author's store, with our SQL store behind chatkit's methods.

The store object itself changes its class, to a subclass of its own with these methods. So helpers that keep a reference
to it, and pydantic fields that demand its class, as in chatkit's samples, go on working, and methods of the author's
that use chatkit's are served as well.
"""

import contextlib
from collections.abc import Awaitable, Callable
from functools import cache
from types import new_class
from typing import Any, TypeVar

from chatkit.store import AttachmentStore, NotFoundError, Store, StoreItemType, default_generate_id
from chatkit.types import Attachment, Page, SDKHiddenContextItem, ThreadItem, ThreadMetadata

from chatkit_store import new_id

from ..errors.setup import SetupError
from .author_call import AuthorCall, current_call
from .author_times import Model, naive_page, with_naive_times
from .outside_call import OutsideCalls, OutsideRequest

AnyStore = TypeVar("AnyStore", bound=Store[Any] | AttachmentStore[Any])

LONGEST_PAGE = 10_000
"""How much the author's code gets at most, which may ask for all: the pages of the SQL store are shorter."""


class AdoptedStore(Store[Any]):
    """chatkit's `Store` for the user of the current request, whatever context is passed.

    Unlike the SQL store, it takes deletions of what does not exist, as the stores of chatkit's samples do.
    """

    __slots__ = ()  # so that a store object of any class can get a subclass of this one

    def generate_thread_id(self, context: Any) -> str:
        """Return a new id."""
        return new_id("thr")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: Any) -> str:
        """Return a new id with chatkit's prefix for the type, or, for a type that chatkit does not know, the type."""
        try:
            prefix = default_generate_id(item_type).partition("_")[0]
        except KeyError:
            prefix = item_type
        call = current_call.get()
        return new_id(prefix) if call is None else call.generate_id(prefix)

    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        """Return the thread."""
        call = await _call(self, context)
        return with_naive_times(await call.store.load_thread(thread_id, call.context))

    async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
        """Save the thread, without the items of a `Thread`."""
        call = await _call(self, context)
        if not call.is_replaying:
            await call.store.save_thread(thread, call.context)

    async def load_threads(self, limit: int, after: str | None, order: str, context: Any) -> Page[ThreadMetadata]:
        """Return a page of the user's threads."""
        call = await _call(self, context)
        return await _long_page(
            lambda after, limit: call.store.load_threads(limit, after, order, call.context), after, limit
        )

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        """Delete the thread, if it exists."""
        call = await _call(self, context)
        if call.is_replaying:
            return
        with contextlib.suppress(NotFoundError):
            await call.store.delete_thread(thread_id, call.context)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Page[ThreadItem]:
        """Return a page of the thread's items, hidden ones included."""
        call = await _call(self, context)
        return await _long_page(
            lambda after, limit: call.store.load_thread_items(thread_id, after, limit, order, call.context),
            after,
            limit,
        )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        """Save a new or changed item."""
        call = await _call(self, context)
        if call.is_replaying:
            return  # it is saved already
        if call.is_cancelled and isinstance(item, SDKHiddenContextItem):
            return  # chatkit's `handle_stream_cancelled` tells the model what the turn tells it
        await call.store.add_thread_items(thread_id, [await call.ids.rename(item, thread_id)], call.context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        """Save a new or changed item."""
        await self.add_thread_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> ThreadItem:
        """Return one item."""
        call = await _call(self, context)
        saved_id = await call.ids.resolve(item_id, thread_id)
        return with_naive_times(await call.store.load_item(thread_id, saved_id, call.context))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        """Delete one item, if it exists."""
        call = await _call(self, context)
        if call.is_replaying:
            return  # its code may look for items to delete, and find the card that has asked
        with contextlib.suppress(NotFoundError):
            saved_id = await call.ids.resolve(item_id, thread_id)
            await call.store.delete_thread_item(thread_id, saved_id, call.context)

    async def save_attachment(self, attachment: Attachment, context: Any) -> None:
        """Save an attachment."""
        call = await _call(self, context, attachment.id)
        if call.is_replaying:
            return
        await call.store.save_attachment(without_upload(attachment), call.context)

    async def load_attachment(self, attachment_id: str, context: Any) -> Attachment:
        """Return one attachment."""
        call = await _call(self, context, attachment_id)
        return await call.store.load_attachment(attachment_id, call.context)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        """Delete an attachment, if it exists."""
        call = await _call(self, context, attachment_id)
        if call.is_replaying:
            return
        with contextlib.suppress(NotFoundError):
            await call.store.delete_attachment(attachment_id, call.context)


def adopt_store(store: Store[Any], outside: OutsideCalls) -> None:
    """Put the SQL store behind a store object; `outside` says who asks outside of a request.

    Raises `SetupError` if its class cannot be changed.
    """
    if not isinstance(store, AdoptedStore):
        kind = type(store)
        try:
            _set(store, "__class__", _adopted_class(kind))
        except TypeError as error:
            raise SetupError(
                f"The store class {kind.__qualname__} cannot be replaced ({error}). Give the server a store class that "
                "is written in Python, such as the MemoryStore of chatkit's samples."
            ) from error
    with contextlib.suppress(AttributeError):  # a class with only `__slots__`: then its code needs a request of ours
        _set(store, _OUTSIDE, outside)


def _set(store: Store[Any], name: str, value: object) -> None:
    """Set an attribute, also of a frozen dataclass."""
    object.__setattr__(store, name, value)


def original_class(store: AnyStore) -> type[AnyStore]:
    """Return the author's class of a store object, which may be an attachment store as well, or only one."""
    kind: type[Any] = type(store)
    return kind.__bases__[1] if isinstance(store, AdoptedStore) else kind


_OUTSIDE = "_chatkit_outside_calls"


def without_upload(attachment: Attachment) -> Attachment:
    """Return an attachment as it is saved: as a finished one, because nobody tells us when its bytes have arrived."""
    return attachment.model_copy(update={"upload_descriptor": None})


@cache
def _adopted_class(kind: type[Store[Any]]) -> type[Any]:
    names = {"__slots__": (), "__module__": kind.__module__}
    return new_class(f"Adopted{kind.__name__}", (AdoptedStore, kind), {}, lambda namespace: namespace.update(names))


async def _long_page(
    load: Callable[[str | None, int], Awaitable[Page[Model]]], after: str | None, limit: int
) -> Page[Model]:
    """Return a page of as many threads or items as the author's code asks for, within reason."""
    limit = min(limit, LONGEST_PAGE)
    page = await load(after, limit)
    while page.has_more and len(page.data) < limit:
        rest = await load(page.after, limit - len(page.data))
        page = Page(data=page.data + rest.data, has_more=rest.has_more, after=rest.after)
    return naive_page(page)


async def _call(store: AdoptedStore, author_context: Any, attachment_id: str | None = None) -> AuthorCall:
    """Return the call of the current request, or one for the request in the author's context."""
    call = current_call.get()
    if call is not None:
        return call
    outside: OutsideCalls | None = getattr(store, _OUTSIDE, None)
    if outside is None:
        raise OutsideRequest
    return await outside.call_for(author_context, attachment_id)
