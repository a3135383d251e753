"""Threads of an API with the shape of OpenAI's hosted ChatKit backend, read with OpenAI's own client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import openai
from openai import AsyncOpenAI

from ..errors.setup import SetupError
from .polite_calls import PoliteCalls, describe
from .source import RawItem, Selection, SourceFailed, SourceThread, ThreadGone, Unreadable, read_thread

PAGE = 100
"""The most that the API allows."""
RESTARTS = 3
"""How often a list is read anew because entries were deleted meanwhile."""

Call = Callable[..., Awaitable[Any]]


class OpenAISource:
    """The threads that a key may read: all those of its project."""

    def __init__(self, client: AsyncOpenAI, calls: PoliteCalls, selection: Selection) -> None:
        self.problems: list[str] = []
        self._address = str(client.base_url).rstrip("/")
        self._threads = client.beta.chatkit.threads.with_raw_response
        self._calls = calls
        self._selection = selection

    async def threads(self) -> list[SourceThread]:
        """Return the selected threads, oldest first. Raises `SetupError` if the API refuses to list them."""
        threads: dict[str, SourceThread] = {}
        queries: list[dict[str, str]] = [{"user": user} for user in self._selection.users] or [{}]
        try:
            for query in queries:
                async for thread in self._newest_first(query):
                    threads.setdefault(thread.id, thread)
        except openai.APIError as error:
            raise SetupError(self._explain(error)) from error
        except SourceFailed as error:
            raise SetupError(f"{self._address}: {error}") from error
        oldest_first = reversed(threads.values())
        return sorted(oldest_first, key=lambda thread: thread.created_at)  # stable: equal times keep the API's order

    async def pages(self, thread: SourceThread, after: str | None) -> AsyncIterator[list[RawItem]]:
        """Yield the items of a thread, some of them twice if one is deleted meanwhile; all if `after` is unknown."""
        try:
            async for page in self._pages(self._threads.list_items, after, thread_id=thread.id, order="asc"):
                yield page
        except openai.NotFoundError as error:
            raise ThreadGone from error
        except openai.APIError as error:
            raise SourceFailed(describe(error)) from error
        except ValueError as error:
            raise Unreadable("its id makes no address of the API") from error

    async def _newest_first(self, query: dict[str, str]) -> AsyncIterator[SourceThread]:
        async for page in self._pages(self._threads.list, None, order="desc", **query):
            for raw in page:
                try:
                    thread = read_thread(raw)
                except Unreadable as error:
                    self.problems.append(f"{self._address}: {error}.")
                    continue
                if self._selection.includes(thread):  # to the end: another server may have imported older ones later
                    yield thread

    async def _pages(self, call: Call, after: str | None, **query: Any) -> AsyncIterator[list[RawItem]]:
        """Yield pages as JSON: the client's types would drop unknown fields, and take unknown items for messages.

        If the entry behind which the next page begins is deleted, they begin anew.
        """
        restarts = 0
        cursors: set[str] = set()
        while True:
            cursor = {} if after is None else {"after": after}
            try:
                response = await self._calls(lambda: call(limit=PAGE, **cursor, **query))  # noqa: B023 - called here
            except (openai.NotFoundError, openai.BadRequestError):
                if after is None or restarts == RESTARTS:
                    raise
                restarts, after, cursors = restarts + 1, None, set()
                continue
            page = _page_of(response)
            if page.entries:
                yield page.entries
            if not page.has_more:
                return
            after = page.last_id
            if after is None or after in cursors:
                raise SourceFailed("a page of its list says that more follow, but leads to no new one.")
            cursors.add(after)

    def _explain(self, error: openai.APIError) -> str:
        match error:
            case openai.AuthenticationError():
                return f"{self._address} refuses the API key: {describe(error)}"
            case openai.PermissionDeniedError():
                return (
                    f"The API key may not read the threads of {self._address}: {describe(error)} "
                    "A chatkit-server demands the key of an administrator."
                )
            case openai.NotFoundError():
                return (
                    f"{self._address} has no ChatKit API: {describe(error)} The address usually ends with /v1. "
                    "OpenAI's own ends on 30 November 2026."
                )
        return f"{self._address}: {describe(error)}"


class _Page(NamedTuple):
    entries: list[RawItem]
    last_id: str | None
    has_more: bool


def _page_of(response: Any) -> _Page:
    """Return a page. Raises `SourceFailed` if the answer is none."""
    try:
        page = response.http_response.json()
    except ValueError as error:
        raise SourceFailed("the answer is not JSON.") from error
    entries = page.get("data") if isinstance(page, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SourceFailed("the answer is not a list of the ChatKit API.")
    last_id = page.get("last_id") or (entries[-1].get("id") if entries else None)
    return _Page(entries, last_id if isinstance(last_id, str) else None, bool(page.get("has_more")))
