"""Build in the background what the first answer would build: it would take 0.3 s instead of a few milliseconds.

Nearly all of that are pydantic's validators, which `quick_imports.py` postpones so that the server listens sooner, the
openai client's requests (`models/client/requests.py`), which are imported for the first of them, and FastAPI's routes,
which it (0.165) builds at the first request that is matched with them: the first stop of an answer would block all
others for 0.1 s.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chatkit.types import (
    ActiveStatus,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    Page,
    StreamOptionsEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
)
from pydantic import BaseModel, TypeAdapter
from starlette.routing import BaseRoute

from chatkit_store.items import ITEM

from ..agent_context import AgentContext
from ..models import Models
from ..routes.protocol import REQUEST

DELAY_SECONDS = 0.2
"""After the start of the app: the server shall listen first."""

SHOWN: tuple[type[BaseModel], ...] = (
    ActiveStatus,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
    Thread,
    Page[Thread],
    StreamOptionsEvent,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    ThreadItemUpdatedEvent,
    AgentContext,
)
"""What an answer shows, and what its agent gets."""
READ: tuple[TypeAdapter[Any], ...] = (REQUEST, ITEM)
"""What reads requests and saved items."""


@asynccontextmanager
async def warming_up(models: Models, routes: Sequence[BaseRoute]) -> AsyncIterator[None]:
    """Warm up in the background while the block runs."""
    task = asyncio.create_task(_warm_up_later(models, routes), name="warm-up")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _warm_up_later(models: Models, routes: Sequence[BaseRoute]) -> None:
    await asyncio.sleep(DELAY_SECONDS)
    await warm_up(models, routes)


async def warm_up(models: Models, routes: Sequence[BaseRoute] = ()) -> None:
    """Build the validators of what an answer of these models consists of, and the routes.

    Requests are served between any two.
    """
    models.import_client()
    await asyncio.sleep(0)
    for model in _incomplete([*SHOWN, *models.answer_classes]):
        model.model_rebuild()
        await asyncio.sleep(0)
    for adapter in READ:
        adapter.rebuild()
        await asyncio.sleep(0)
    for route in routes:
        route.matches({"type": "http", "method": "GET", "path": "/-", "root_path": "", "headers": []})
        await asyncio.sleep(0)


def _incomplete(classes: Iterable[type[BaseModel]]) -> Iterable[type[BaseModel]]:
    return (model for model in classes if not model.__pydantic_complete__)
