"""A plant to look after: widgets with actions, hidden context, client effects, thread titles that the agent sets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from agents import Agent, RunContextWrapper, Runner, StopAtTools, function_tool
from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    Action,
    AssistantMessageContent,
    AssistantMessageItem,
    ClientEffectEvent,
    HiddenContextItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import WidgetRoot, WidgetTemplate
from openai.types.responses import ResponseInputTextParam
from openai.types.responses.response_input_item_param import Message
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .memory_store import MemoryStore

logger = logging.getLogger(__name__)

NAMELESS = "a nameless plant"
CHOOSE_NAME = "plant.choose_name"
TOGGLE_REMINDER = "plant.toggle_reminder"

names_template = WidgetTemplate(
    {
        "version": "1.0",
        "name": "names",
        "template": """{
            "type": "ListView",
            "children": [
                {% for name in names %}
                {
                    "type": "ListViewItem",
                    "key": {{ name | tojson }},
                    {% if chosen is none %}
                    "onClickAction": {
                        "type": "plant.choose_name",
                        "payload": {"name": {{ name | tojson }}, "names": {{ names | tojson }}},
                        "handler": "server"
                    },
                    {% endif %}
                    "children": [
                        {"type": "Text", "value": {{ name | tojson }}},
                        {"type": "Badge", "label": {{ ("chosen" if name == chosen else "free") | tojson }}}
                    ]
                }{{ "," if not loop.last }}
                {% endfor %}
            ]
        }""",
    }
)

card_template = WidgetTemplate(
    {
        "version": "1.0",
        "name": "card",
        "template": """{
            "type": "Card",
            "size": "sm",
            "children": [
                {"type": "Title", "value": {{ name | tojson }}},
                {"type": "Text", "id": "moisture", "value": "Moisture: {{ moisture }} of 10"},
                {
                    "type": "Button",
                    "label": {{ ("Reminder is on" if reminder else "Reminder is off") | tojson }},
                    "onClickAction": {
                        "type": "plant.toggle_reminder",
                        "payload": {"on": {{ (not reminder) | tojson }}},
                        "handler": "server",
                        "streaming": false
                    }
                }
            ]
        }""",
    }
)


class ChosenName(BaseModel):
    name: str
    names: list[str] = Field(default_factory=list)


@dataclass
class Plant:
    name: str = NAMELESS
    moisture: int = 5
    reminder: bool = False


class PlantStore:
    """What this server keeps beside the threads: a plant for each."""

    def __init__(self) -> None:
        self._plants: dict[str, Plant] = {}

    def of(self, thread: ThreadMetadata) -> Plant:
        return self._plants.setdefault(thread.id, Plant())


class PlantContext(AgentContext):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    store: Annotated[MemoryStore, Field(exclude=True)]
    plants: Annotated[PlantStore, Field(exclude=True)]
    request_context: Annotated[dict[str, Any], Field(exclude=True)]


class PlantConverter(ThreadItemConverter):
    """Hidden context without the words that chatkit puts around it."""

    async def hidden_context_to_input(self, item: HiddenContextItem) -> Message:
        return Message(
            type="message", role="user", content=[ResponseInputTextParam(type="input_text", text=item.content)]
        )


def message_item(thread: ThreadMetadata, item_id: str, text: str) -> AssistantMessageItem:
    return AssistantMessageItem(
        id=item_id, thread_id=thread.id, created_at=datetime.now(), content=[AssistantMessageContent(text=text)]
    )


async def note_for_the_model(context: PlantContext, text: str) -> None:
    await context.store.add_thread_item(
        context.thread.id,
        HiddenContextItem(
            id=context.store.generate_item_id("message", context.thread, context.request_context),
            thread_id=context.thread.id,
            created_at=datetime.now(),
            content=text,
        ),
        context=context.request_context,
    )


@function_tool(description_override="Read how the plant is doing.")
async def read_plant(ctx: RunContextWrapper[PlantContext]) -> dict[str, Any]:
    plant = ctx.context.plants.of(ctx.context.thread)
    return {"name": plant.name, "moisture": plant.moisture}


@function_tool(description_override="Water the plant.\n- `amount`: from 1 to 5.")
async def water_plant(ctx: RunContextWrapper[PlantContext], amount: int = 1) -> dict[str, Any]:
    plant = ctx.context.plants.of(ctx.context.thread)
    plant.moisture = min(10, plant.moisture + amount)
    await note_for_the_model(ctx.context, f"<WATERED>{amount}</WATERED>")
    await ctx.context.stream(ClientEffectEvent(name="plant.watered", data={"moisture": plant.moisture}))
    return {"moisture": plant.moisture}


@function_tool(description_override="Offer names for the plant.\n- `names`: three short names.")
async def suggest_names(ctx: RunContextWrapper[PlantContext], names: list[str]) -> None:
    context = ctx.context
    text = "How about one of these?"
    await context.stream(ThreadItemDoneEvent(item=message_item(context.thread, context.generate_id("message"), text)))
    await context.stream_widget(names_template.build({"names": names, "chosen": None}), copy_text=", ".join(names))


@function_tool(description_override="Show the plant's card.")
async def show_card(ctx: RunContextWrapper[PlantContext]) -> None:
    context = ctx.context
    await context.stream_widget(build_card(context.plants.of(context.thread)), copy_text="The plant's card")
    text = "Shall I water it?"
    await context.stream(ThreadItemDoneEvent(item=message_item(context.thread, context.generate_id("message"), text)))


def build_card(plant: Plant) -> WidgetRoot:
    return card_template.build({"name": plant.name, "moisture": plant.moisture, "reminder": plant.reminder})


plant_agent = Agent[PlantContext](
    name="Greenhouse",
    model="gpt-4.1-mini",
    instructions="You look after a plant. A <NAME_CHOSEN> tag holds the name that the user has chosen.",
    tools=[read_plant, water_plant, suggest_names, show_card],
    # What these show is the answer.
    tool_use_behavior=StopAtTools(stop_at_tool_names=[suggest_names.name, show_card.name]),
)


class GreenhouseServer(ChatKitServer[dict[str, Any]]):
    """The server of the greenhouse."""

    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        super().__init__(self.store)
        self.plants = PlantStore()
        self.converter = PlantConverter()

    async def respond(
        self, thread: ThreadMetadata, item: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        agent_context = PlantContext(thread=thread, store=self.store, plants=self.plants, request_context=context)
        page = await self.store.load_thread_items(thread.id, after=None, limit=20, order="desc", context=context)
        input_items = await self.converter.to_agent_input(list(reversed(page.data)))
        result = Runner.run_streamed(plant_agent, input_items, context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event
        return

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: dict[str, Any],
    ) -> AsyncIterator[ThreadStreamEvent]:
        if action.type != CHOOSE_NAME:
            return
        try:
            choice = ChosenName.model_validate(action.payload or {})
        except ValidationError as error:
            logger.warning("the payload has %d faults", error.error_count())
            return
        async for event in self._choose_name(thread, choice, sender, context):
            yield event

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: dict[str, Any],
    ) -> SyncCustomActionResponse:
        if action.type != TOGGLE_REMINDER or sender is None:
            return SyncCustomActionResponse()
        plant = self.plants.of(thread)
        plant.reminder = bool(action.payload["on"])
        return SyncCustomActionResponse(updated_item=sender.model_copy(update={"widget": build_card(plant)}))

    async def _choose_name(
        self, thread: ThreadMetadata, choice: ChosenName, sender: WidgetItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        plant = self.plants.of(thread)
        if sender is None:
            return
        was_named = plant.name != NAMELESS
        chosen = plant.name if was_named else choice.name
        widget = names_template.build({"names": choice.names, "chosen": chosen})
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))
        if was_named:
            text = f"It is called {plant.name} already."
            yield ThreadItemDoneEvent(
                item=message_item(thread, self.store.generate_item_id("message", thread, context), text)
            )
            return

        plant.name = choice.name
        thread.title = f"{plant.name} in the greenhouse"
        await self.store.save_thread(thread, context)
        # The model reads this in the next run.
        await self.store.add_thread_item(
            thread.id,
            HiddenContextItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=datetime.now(),
                content=f"<NAME_CHOSEN>{plant.name}</NAME_CHOSEN>",
            ),
            context=context,
        )
        yield ThreadItemDoneEvent(
            item=message_item(thread, self.store.generate_item_id("message", thread, context), f"Hello, {plant.name}!")
        )


def create_chatkit_server() -> GreenhouseServer:
    """What the endpoint of this server calls."""
    return GreenhouseServer()
