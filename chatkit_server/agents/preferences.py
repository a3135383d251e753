"""A form in the chat: the user's time zone and units. Its answer changes the card, and the model gets to know it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

from agents import RunContextWrapper, function_tool
from chatkit.agents import AgentContext
from chatkit.types import (
    HiddenContextItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot
from pydantic import BaseModel

from chatkit_store import new_id

from ..interactions.actions import Actions
from .clock import UnknownZone, describe_time

SAVE, CHANGE = "preferences.save", "preferences.change"
UNITS = {"metric": "Metric: km, kg, °C", "imperial": "Imperial: miles, pounds, °F"}

actions = Actions()


class Preferences(BaseModel):
    """What the form asks for."""

    time_zone: str = "UTC"
    units: Literal["metric", "imperial"] = "metric"


@function_tool
async def ask_preferences(context: RunContextWrapper[AgentContext[Any]]) -> str:
    """Show the user a form for their time zone and units of measurement. Use it when they want to set or change these;
    their answer comes to you as hidden context."""
    thread = context.context.thread
    await context.context.stream_widget(form(preferences_of(thread)), copy_text="Preferences: time zone and units")
    return "The form is shown. Do not ask for the same in words."


@actions.on(SAVE)
async def save(payload: Preferences, sender: WidgetItem, thread: ThreadMetadata) -> AsyncIterator[ThreadStreamEvent]:
    """Keeps the answers with the thread and shows them instead of the form."""
    try:
        now = describe_time(datetime.now(UTC), payload.time_zone)
    except UnknownZone as problem:
        refused = form(payload, f"{str(problem)[:1].upper()}{str(problem)[1:]}")
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": refused}))
        return
    thread.metadata = thread.metadata | {"preferences": payload.model_dump()}
    words = f"Preferences: {payload.time_zone}, {payload.units}"
    yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": summary(payload, now), "copy_text": words}))
    note = f"The user's preferences are now: time zone {payload.time_zone}, {payload.units} units."
    yield ThreadItemDoneEvent(
        item=HiddenContextItem(id=new_id("hcx"), thread_id=thread.id, created_at=datetime.now(UTC), content=note)
    )


@actions.on(CHANGE)
async def change(sender: WidgetItem, thread: ThreadMetadata) -> WidgetRoot:
    """Opens the form again."""
    return form(preferences_of(thread))


def preferences_of(thread: ThreadMetadata) -> Preferences:
    """What the user chose in this conversation before."""
    return Preferences.model_validate(thread.metadata.get("preferences", {}))


def form(now: Preferences, problem: str = "") -> WidgetRoot:
    """The card that asks."""
    options = [{"value": value, "label": label} for value, label in UNITS.items()]
    fields = [
        {"type": "Label", "value": "Time zone", "fieldName": "time_zone"},
        {"type": "Input", "name": "time_zone", "defaultValue": now.time_zone, "placeholder": "Europe/Berlin"},
        *([{"type": "Caption", "value": problem, "color": "danger"}] if problem else []),
        {"type": "Label", "value": "Units", "fieldName": "units"},
        {"type": "RadioGroup", "name": "units", "options": options, "defaultValue": now.units, "direction": "col"},
        {"type": "Button", "label": "Save", "submit": True, "style": "primary"},
    ]
    body = {"type": "Form", "direction": "col", "gap": 2, "onSubmitAction": {"type": SAVE}, "children": fields}
    title = {"type": "Title", "value": "Your preferences", "size": "sm"}
    return DynamicWidgetRoot.model_validate({"type": "Card", "size": "sm", "children": [title, body]})


def summary(chosen: Preferences, now: str) -> WidgetRoot:
    """The card that shows what was chosen."""
    return DynamicWidgetRoot.model_validate(
        {
            "type": "Card",
            "size": "sm",
            "children": [
                {"type": "Title", "value": "Your preferences", "size": "sm"},
                {"type": "Text", "value": f"It is {now}."},
                {"type": "Text", "value": UNITS[chosen.units]},
                {"type": "Button", "label": "Change", "variant": "outline", "onClickAction": {"type": CHANGE}},
            ],
        }
    )
