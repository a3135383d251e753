"""A server without the Agents SDK: it yields all events by hand, in the many ways that people do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import Any

from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer, stream_widget
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    CustomTask,
    ErrorCode,
    ErrorEvent,
    HiddenContextItem,
    LockedStatus,
    NoticeEvent,
    StreamOptions,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    UserMessageTextContent,
    Workflow,
    WorkflowItem,
    WorkflowTaskUpdated,
)
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot

from .memory_store import MemoryStore


class LetterBoxServer(ChatKitServer[dict[str, Any]]):
    """Answers with what it was told; words of the message choose how."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.written = asyncio.Event()
        self.may_continue = asyncio.Event()
        self.cancelled: list[ThreadItem] = []

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        if input_user_message is None:
            async for event in self._post(thread, context):
                yield event
            return
        text = "".join(part.text for part in input_user_message.content if isinstance(part, UserMessageTextContent))
        page = await self.store.load_thread_items(thread.id, None, 100, "asc", context)
        letters = sum(isinstance(item, UserMessageItem) for item in page.data)
        if thread.title is None:
            thread.title = text[:20]
        thread.metadata["letters"] = letters

        async for event in self._answer(thread, text, f"Letter {letters}"):
            yield event

    def _answer(self, thread: ThreadMetadata, text: str, letter: str) -> AsyncIterator[ThreadStreamEvent]:
        if "slowly" in text:
            return self._write_slowly(thread, f"{letter}: {text}")
        if "loosely" in text:
            return self._write_loosely(thread, letter)
        if "sort" in text:
            return self._sort(thread)
        if "paint" in text:
            return stream_widget(thread, self._paint(), copy_text="a painted letter")
        return self._answer_at_once(thread, text, letter)

    async def _answer_at_once(self, thread: ThreadMetadata, text: str, letter: str) -> AsyncIterator[ThreadStreamEvent]:
        if "stamp" in text:
            yield ThreadItemDoneEvent(item=self._question(thread))
        elif "seal" in text:
            yield NoticeEvent(level="warning", title="Sealed", message="Nobody can write here any more.")
            thread.status = LockedStatus(reason="This box is sealed.")
        elif "lose" in text:
            yield ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)
        else:
            yield ThreadItemDoneEvent(item=self._message(thread, f"{letter}: {self._deliver(text)}"))

    def _deliver(self, text: str) -> str:
        if "return" in text:
            raise CustomStreamError("No such address.", allow_retry=False)
        if "burn" in text:
            raise RuntimeError("the letter box burns")
        return text

    def get_stream_options(self, thread: ThreadMetadata, context: dict[str, Any]) -> StreamOptions:
        return StreamOptions(allow_cancel="stop" not in (thread.title or ""))

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: dict[str, Any]
    ) -> None:
        self.cancelled += pending_items
        await super().handle_stream_cancelled(thread, pending_items, context)

    def _message(self, thread: ThreadMetadata, text: str) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=f"letter-{uuid.uuid4()}",
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=[AssistantMessageContent(text=text)],
        )

    async def _write_slowly(self, thread: ThreadMetadata, text: str) -> AsyncIterator[ThreadStreamEvent]:
        """Write word by word, and wait in the middle."""
        item = self._message(thread, "")
        item.content = []
        yield ThreadItemAddedEvent(item=item)
        yield ThreadItemUpdatedEvent(
            item_id=item.id,
            update=AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text="")),
        )
        words = text.split(" ")
        for index, word in enumerate(words):
            if index == len(words) // 2:
                self.written.set()
                await self.may_continue.wait()
            delta = word if index == 0 else f" {word}"
            yield ThreadItemUpdatedEvent(
                item_id=item.id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=delta)
            )
        content = AssistantMessageContent(text=text)
        yield ThreadItemUpdatedEvent(
            item_id=item.id, update=AssistantMessageContentPartDone(content_index=0, content=content)
        )
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [content]}))

    def _question(self, thread: ThreadMetadata) -> StructuredInputItem:
        options = [StructuredInputMultipleChoiceOption(value=value) for value in ("blue", "red")]
        return StructuredInputItem(
            id=f"question-{uuid.uuid4()}",
            thread_id=thread.id,
            created_at=datetime.now(),
            inputs=[StructuredInputMultipleChoice(id="stamp", question="Which stamp?", options=options)],
        )

    async def _post(self, thread: ThreadMetadata, context: dict[str, Any]) -> AsyncIterator[ThreadStreamEvent]:
        """Answer an answered question."""
        page = await self.store.load_thread_items(thread.id, None, 1, "desc", context)
        question = page.data[0]
        if isinstance(question, StructuredInputItem):
            values = question.inputs[0].answer.values
            yield ThreadItemDoneEvent(item=self._message(thread, f"Posted with a {values[0]} stamp."))

    async def _paint(self) -> AsyncGenerator[WidgetRoot, None]:
        for text in ("Dear", "Dear friend", "Dear friend!"):
            children = [{"type": "Text", "id": "text", "value": text}]
            yield DynamicWidgetRoot.model_validate({"type": "Card", "children": children})

    async def _sort(self, thread: ThreadMetadata) -> AsyncIterator[ThreadStreamEvent]:
        """Show a workflow, a hidden note, and a message with a naive time."""
        workflow = WorkflowItem(
            id=f"sorting-{uuid.uuid4()}",
            thread_id=thread.id,
            created_at=datetime.now(),
            workflow=Workflow(type="custom", tasks=[CustomTask(title="Sorting", status_indicator="loading")]),
        )
        yield ThreadItemAddedEvent(item=workflow)
        task = CustomTask(title="Sorted", status_indicator="complete")
        yield ThreadItemUpdatedEvent(item_id=workflow.id, update=WorkflowTaskUpdated(task=task, task_index=0))
        workflow.workflow.tasks[0] = task
        yield ThreadItemDoneEvent(item=workflow)
        yield ThreadItemDoneEvent(
            item=HiddenContextItem(
                id=f"note-{uuid.uuid4()}", thread_id=thread.id, created_at=datetime.now(), content="sorted once"
            )
        )
        message = self._message(thread, "All sorted.")
        yield ThreadItemDoneEvent(item=message.model_copy(update={"created_at": datetime.now()}))

    async def _write_loosely(self, thread: ThreadMetadata, text: str) -> AsyncIterator[ThreadStreamEvent]:
        """Do what works by accident: the id of all models without ids, updates of nothing, bare updates, a hole."""
        item = self._message(thread, text).model_copy(update={"id": "__fake_id__", "created_at": datetime.now()})
        yield ThreadItemAddedEvent(item=item.model_copy(update={"content": []}))
        yield ThreadItemUpdatedEvent(
            item_id=f"itm_{uuid.uuid4().hex[:8]}",
            update=AssistantMessageContentPartTextDelta(content_index=0, delta="lost"),
        )
        yield AssistantMessageContentPartTextDelta(content_index=0, delta="bare")  # not an event
        yield ThreadItemUpdatedEvent(
            item_id="__fake_id__", update=AssistantMessageContentPartTextDelta(content_index=1, delta="?")
        )
        yield ThreadItemDoneEvent(item=item)
