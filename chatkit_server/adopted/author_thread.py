"""The thread object that an author's code gets, and what it changes in it."""

from contextlib import suppress

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

    @classmethod
    async def load(cls, thread_id: str, call: AuthorCall) -> "AuthorThread":
        """Return the thread as it is stored. It is loaded, so that saving it writes only what has changed (T15)."""
        return cls(with_naive_times(await call.store.load_thread(thread_id, call.context)))

    def carry_over(self, thread: ThreadMetadata) -> None:
        """Change `thread` as the author's code has changed its own since the last time."""
        if self.thread == self._seen:
            return
        changed = self.thread.model_copy(deep=True)
        for name in FIELDS:
            if getattr(changed, name) != getattr(self._seen, name):
                setattr(thread, name, getattr(changed, name))
        self._seen = self.thread.model_copy(deep=True)

    async def save(self, call: AuthorCall) -> None:
        """Save what the author's code has changed since the last time: its `respond` failed. Errors are ignored: that
        one is told."""
        if self.thread != self._seen:
            with suppress(StoreError, NotFoundError):
                await call.store.save_thread(self.thread, call.context)
