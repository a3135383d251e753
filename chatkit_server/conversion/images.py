"""Convert images that the model generates."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
)

from ..agent_context import AgentContext
from .open_workflow import OpenWorkflow
from .shown_items import Events, Handlers, ShownItems


class Images:
    """The images of the current response, by output index."""

    def __init__(
        self, context: AgentContext, converter: ResponseStreamConverter, shown_items: ShownItems, workflow: OpenWorkflow
    ) -> None:
        self._context = context
        self._converter = converter
        self._shown_items = shown_items
        self._workflow = workflow
        self._images: dict[int, GeneratedImageItem] = {}

    def clear(self) -> None:
        """Start the next response."""
        self._images.clear()

    def start(self, event: Any) -> Events:
        """Show an image that is being generated."""
        image = self._open(event.output_index)
        return [*self._workflow.close(), self._shown_items.show(image.model_copy())]

    async def finish(self, event: Any) -> Events:
        """Complete an image. Without a result there is nothing to show."""
        if not event.item.result:
            return []
        image = self._open(event.output_index)
        url = await self._converter.base64_image_to_url(image_id=event.item.id, base64_image=event.item.result)
        image.image = GeneratedImage(id=event.item.id, url=url)
        return [ThreadItemDoneEvent(item=image)]

    async def _partial(self, event: Any) -> Events:
        image = self._open(event.output_index)
        url = await self._converter.base64_image_to_url(
            image_id=event.item_id,
            base64_image=event.partial_image_b64,
            partial_image_index=event.partial_image_index,
        )
        image.image = GeneratedImage(id=event.item_id, url=url)
        progress = self._converter.partial_image_index_to_progress(event.partial_image_index)
        update = GeneratedImageUpdated(image=image.image, progress=progress)
        return [ThreadItemUpdatedEvent(item_id=image.id, update=update)]

    def _open(self, output_index: int) -> GeneratedImageItem:
        if output_index not in self._images:
            self._images[output_index] = GeneratedImageItem(
                id=self._context.generate_id("message"),
                thread_id=self._context.thread.id,
                created_at=datetime.now(UTC),
            )
        return self._images[output_index]

    HANDLERS: ClassVar[Handlers] = {"response.image_generation_call.partial_image": _partial}
