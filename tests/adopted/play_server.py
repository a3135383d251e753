"""A server whose answers a test writes: each message is answered by the next function of `scenes`."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from tests.adopted.servers.memory_store import MemoryStore

Scene = Callable[["PlayServer", ThreadMetadata, dict[str, Any]], AsyncIterator[ThreadStreamEvent]]


class PlayServer(ChatKitServer[dict[str, Any]]):
    """Answers by hand."""

    def __init__(self, *scenes: Scene) -> None:
        self.store: MemoryStore = MemoryStore()
        super().__init__(self.store)
        self.scenes = list(scenes)
        self.contexts: list[Any] = []

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.contexts.append(context)
        async for event in self.scenes.pop(0)(self, thread, context):
            yield event


def message(thread: ThreadMetadata, text: str, item_id: str) -> AssistantMessageItem:
    """Return a message as authors write it, with a naive time."""
    return AssistantMessageItem(
        id=item_id,
        thread_id=thread.id,
        created_at=datetime.now(),  # noqa: DTZ005 - as chatkit's samples
        content=[AssistantMessageContent(text=text)] if text else [],
    )
