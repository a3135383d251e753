"""The first events of a reader that joins a running turn, which bring it up to date.

Measured with the widget of June 2026: `added` and `done` replace an item that it shows already, and it ignores deltas
for an item that it has not loaded. So send every finished item as `done` and every open one as `added` with all its
text so far. If none is open, send an empty progress update: only that makes the widget show Stop and lock the composer.
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
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
)


def snapshot(
    finished: Iterable[ThreadItem],
    still_open: Iterable[ThreadItem],
    *,
    options: StreamOptions,
    is_running: bool,
    removed_ids: Iterable[str] = (),
) -> list[ThreadStreamEvent]:
    """Return the events, in order. `finished` and `still_open` must not contain hidden items.

    `removed_ids` are items of earlier turns that the reader's page may still show.
    """
    events: list[ThreadStreamEvent] = [StreamOptionsEvent(stream_options=options)]
    events += [ThreadItemRemovedEvent(item_id=item_id) for item_id in removed_ids]
    events += [ThreadItemDoneEvent(item=item) for item in visible_items(finished)]
    added = [ThreadItemAddedEvent(item=item) for item in still_open]
    if is_running:
        events += added or [ProgressUpdateEvent(text="")]
    return events


def visible_items(finished: Iterable[ThreadItem]) -> Iterator[ThreadItem]:
    """Yield the items without answered client tool calls, and of the pending ones only the first.

    The page runs the tool each time it gets the call, and runs one call at a time.
    """
    has_call = False
    for item in finished:
        if isinstance(item, ClientToolCallItem):
            if has_call or item.status == "completed":
                continue
            has_call = True
        yield item


def without_calls(items: Iterable[ThreadItem]) -> list[ThreadItem]:
    """Return the items without client tool calls, for a page that already has or has answered them."""
    return [item for item in items if not isinstance(item, ClientToolCallItem)]
