"""What a reader who comes into the middle of a turn is told first, so that its picture is whole (PROTOCOL: re-attach).

The widget puts `added` and `done` in the place of an item that it shows already; deltas for an item that it has not
loaded do nothing. So: every finished item as `done`, every open one as `added` with all of its text so far, and where
none is open an empty progress update, which alone makes the widget show Stop and hold the composer.
"""

from collections.abc import Iterable, Iterator

from chatkit.types import (
    ClientToolCallItem,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
)


def snapshot(
    finished: Iterable[ThreadItem], still_open: Iterable[ThreadItem], *, options: StreamOptions, is_running: bool
) -> list[ThreadStreamEvent]:
    """The events, in order. `finished` and `still_open` hold no hidden items."""
    events: list[ThreadStreamEvent] = [StreamOptionsEvent(stream_options=options)]
    events += [ThreadItemDoneEvent(item=item) for item in shown(finished)]
    added = [ThreadItemAddedEvent(item=item) for item in still_open]
    if is_running:
        events += added or [ProgressUpdateEvent(text="")]
    return events


def shown(finished: Iterable[ThreadItem]) -> Iterator[ThreadItem]:
    """A client tool call runs its tool in the page each time it is sent: an answered one has nothing to show, and of
    those that wait only the first one's turn has come."""
    has_call = False
    for item in finished:
        if isinstance(item, ClientToolCallItem):
            if has_call or item.status == "completed":
                continue
            has_call = True
        yield item


def without_calls(items: Iterable[ThreadItem]) -> list[ThreadItem]:
    """For a reader whose page has the calls of its tools from elsewhere, or has answered them."""
    return [item for item in items if not isinstance(item, ClientToolCallItem)]
