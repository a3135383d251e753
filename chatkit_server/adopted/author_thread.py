"""The thread object that an author's code gets, and what it changes in it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata

from chatkit_store import StoreError

from .author_call import AuthorCall
from .author_times import with_naive_times

FIELDS = ("title", "status", "allowed_image_domains", "metadata")
"""What the author's code may change."""


class AuthorThread:
    """A thread with naive times, whose changes `carry_over` to the thread of the turn, which saves them."""

    def __init__(self, thread: ThreadMetadata) -> None:
        self.thread = thread
        self._seen = thread.model_copy(deep=True)
        self._before = _fields_of(thread)

    @classmethod
    async def load(cls, thread_id: str, call: AuthorCall, earlier: Mapping[str, Any] | None = None) -> "AuthorThread":
        """Return the thread as it is stored. It is loaded, so that saving it writes only what has changed (T15).

        `earlier` is what `pause` returned in the call that this one repeats. What nobody else has changed since is then
        as it was when that call began.
        """
        thread = with_naive_times(await call.store.load_thread(thread_id, call.context))
        if earlier is not None:
            before, after, now = earlier["before"], earlier["after"], _fields_of(thread)
            repeated = {name: before[name] if now[name] == after[name] else now[name] for name in FIELDS}
            values = thread.model_validate({**thread.model_dump(), **repeated})
            for name in FIELDS:
                setattr(thread, name, getattr(values, name))
        return cls(thread)

    def carry_over(self, thread: ThreadMetadata, *, is_saved: bool = False) -> None:
        """Change `thread` as the author's code has changed its own since the last time, unless it `is_saved` already:
        the code repeats what it did."""
        if self.thread == self._seen:
            return
        changed = self.thread.model_copy(deep=True)
        for name in FIELDS:
            if not is_saved and getattr(changed, name) != getattr(self._seen, name):
                setattr(thread, name, getattr(changed, name))
        self._seen = changed

    def pause(self, thread: ThreadMetadata) -> dict[str, Any]:
        """Carry over what has changed, and return what a later call that repeats this one needs: plain JSON."""
        self.carry_over(thread)
        return {"before": self._before, "after": _fields_of(thread)}

    async def save(self, call: AuthorCall) -> None:
        """Save what the author's code has changed since the last time: its `respond` failed. Its own errors
        are ignored: the failure of `respond` is the one to report."""
        if self.thread != self._seen:
            with suppress(StoreError, NotFoundError):
                await call.store.save_thread(self.thread, call.context)


def _fields_of(thread: ThreadMetadata) -> dict[str, Any]:
    return thread.model_dump(mode="json", include=set(FIELDS))
