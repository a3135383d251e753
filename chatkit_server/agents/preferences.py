"""A form in the chat for the user's time zone and units. Saving changes the card and adds a note for the model."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

from agents import RunContextWrapper, function_tool
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

from ..agent_context import AgentContext
from ..interactions.actions import Actions
from .clock import UnknownZone, describe_time

SAVE, CHANGE = "preferences.save", "preferences.change"
UNITS = {"metric": "Metric: km, kg, °C", "imperial": "Imperial: miles, pounds, °F"}

actions = Actions()


class Preferences(BaseModel):
    """The values of the form."""

    time_zone: str = "UTC"
    units: Literal["metric", "imperial"] = "metric"


@function_tool
async def ask_preferences(context: RunContextWrapper[Any]) -> str:
    """Show the user a form for their time zone and units of measurement. Use it when they want to set or change these;
    their answer comes to you as hidden context."""
    chat = AgentContext.of(context)
    form = preferences_form(saved_preferences(chat.thread))
    await chat.stream_widget(form, copy_text="Preferences: time zone and units")
    return "The form is shown. Do not ask for these values in words."


@actions.on(SAVE)
async def save(payload: Preferences, sender: WidgetItem, thread: ThreadMetadata) -> AsyncIterator[ThreadStreamEvent]:
    """Save the values in the thread's metadata and replace the form with a summary."""
    try:
        now = describe_time(datetime.now(UTC), payload.time_zone)
    except UnknownZone as error:
        message = str(error)
        corrected = preferences_form(payload, f"{message[:1].upper()}{message[1:]}")
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": corrected}))
        return
    thread.metadata = thread.metadata | {"preferences": payload.model_dump()}
    copy_text = f"Preferences: {payload.time_zone}, {payload.units}"
    card = preferences_summary(payload, now)
    yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": card, "copy_text": copy_text}))
    note = f"The user's preferences are now: time zone {payload.time_zone}, {payload.units} units."
    yield ThreadItemDoneEvent(
        item=HiddenContextItem(id=new_id("hcx"), thread_id=thread.id, created_at=datetime.now(UTC), content=note)
    )


@actions.on(CHANGE)
async def change(sender: WidgetItem, thread: ThreadMetadata) -> WidgetRoot:
    """Show the form again."""
    return preferences_form(saved_preferences(thread))


def saved_preferences(thread: ThreadMetadata) -> Preferences:
    """Return what the user saved in this conversation, or the defaults."""
    return Preferences.model_validate(thread.metadata.get("preferences", {}))


def preferences_form(values: Preferences, problem: str = "") -> WidgetRoot:
    """Return the card with the form, filled with `values`; `problem` is shown below the time zone."""
    options = [{"value": value, "label": label} for value, label in UNITS.items()]
    fields = [
        {"type": "Label", "value": "Time zone", "fieldName": "time_zone"},
        {"type": "Input", "name": "time_zone", "defaultValue": values.time_zone, "placeholder": "Europe/Berlin"},
        *([{"type": "Caption", "value": problem, "color": "danger"}] if problem else []),
        {"type": "Label", "value": "Units", "fieldName": "units"},
        {"type": "RadioGroup", "name": "units", "options": options, "defaultValue": values.units, "direction": "col"},
        {"type": "Button", "label": "Save", "submit": True, "style": "primary"},
    ]
    body = {"type": "Form", "direction": "col", "gap": 2, "onSubmitAction": {"type": SAVE}, "children": fields}
    title = {"type": "Title", "value": "Your preferences", "size": "sm"}
    return DynamicWidgetRoot.model_validate({"type": "Card", "size": "sm", "children": [title, body]})


def preferences_summary(values: Preferences, now: str) -> WidgetRoot:
    """Return the card that shows the saved values; `now` is the time in that zone, in words."""
    return DynamicWidgetRoot.model_validate(
        {
            "type": "Card",
            "size": "sm",
            "children": [
                {"type": "Title", "value": "Your preferences", "size": "sm"},
                {"type": "Text", "value": f"It is {now}."},
                {"type": "Text", "value": UNITS[values.units]},
                {"type": "Button", "label": "Change", "variant": "outline", "onClickAction": {"type": CHANGE}},
            ],
        }
    )
