"""Let a workflow read the events of a run that the turn shows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import RunResultStreaming, StreamEvent

from ..fast_path.tap import pass_text_on


class FollowedRun(RunResultStreaming):
    """What `Runner.run_streamed` returns to a workflow: the result of the run, whose events the turn passes on.

    The turn reads them, at its own pace and to their end, also if the workflow stops reading.
    """

    run: RunResultStreaming

    def __init__(self, run: RunResultStreaming) -> None:
        # Not that of the dataclass: all attributes are those of the run.
        object.__setattr__(self, "_passed", [])
        object.__setattr__(self, "_has_news", asyncio.Event())
        object.__setattr__(self, "_error", None)
        object.__setattr__(self, "_has_ended", False)
        self.follow(run)

    def follow(self, run: RunResultStreaming) -> None:
        """Be the result of this run from now on: a paused one is there only once it has been restored."""
        object.__setattr__(self, "run", run)
        pass_text_on(run.run_loop_task)
        source = run.stream_events

        async def read() -> AsyncIterator[StreamEvent]:
            """Yield the events to the turn."""
            async for event in source():
                self._pass(event)
                yield event

        run.stream_events = read  # type: ignore[method-assign]  # of this run only

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if name in _OWN or name in own:
            return object.__getattribute__(self, name)
        return getattr(own["run"], name)

    def __del__(self) -> None:
        """Leave the run to its own: the class of the SDK would clean it up."""

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        """Yield the events of the run, then raise its error."""
        index = 0
        while True:
            while index < len(self._passed):  # it grows, and may end, while a slow reader works on an event
                yield self._passed[index]
                index += 1
            if self._has_ended:
                break
            self._has_news.clear()
            await self._has_news.wait()
        if self._error is not None:
            raise self._error

    def end(self, error: BaseException | None) -> None:
        """Tell the workflow that no more events come."""
        object.__setattr__(self, "_error", error)
        object.__setattr__(self, "_has_ended", True)
        self._has_news.set()

    def _pass(self, event: StreamEvent) -> None:
        self._passed.append(event)
        self._has_news.set()


_OWN = frozenset({"__class__", "__dict__", "stream_events", "follow", "end", "_pass"})
