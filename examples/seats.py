"""Actions that replace a widget: a list of seats becomes a ticket."""

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
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

from chatkit_server import Actions, ChatServer, RequestContext

Context = RunContextWrapper[AgentContext[Any]]
SEATS = ("1A", "1B", "2A")


class Seat(BaseModel):
    """The payload of a click."""

    seat: str


@function_tool
async def offer_seats(context: Context) -> str:
    """Let the user choose a seat."""
    await context.context.stream_widget(seat_list(), copy_text="Seats: " + ", ".join(SEATS))
    return "The user sees the free seats."


def seat_list() -> WidgetRoot:
    """Return the list, with a clickable row for each seat."""
    rows = [
        {
            "type": "ListViewItem",
            "onClickAction": {"type": "seat.choose", "payload": {"seat": seat}},
            "children": [{"type": "Text", "value": f"Seat {seat}"}],
        }
        for seat in SEATS
    ]
    return DynamicWidgetRoot.model_validate({"type": "ListView", "children": rows})


def ticket(seat: str) -> WidgetRoot:
    """Return the card that replaces the list."""
    title = {"type": "Title", "value": f"Your seat is {seat}"}
    give_back = {"type": "Button", "label": "Give it back", "onClickAction": {"type": "seat.return"}}
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": [title, give_back]})


actions = Actions()


@actions.on("seat.choose")
async def choose(
    payload: Seat, sender: WidgetItem, thread: ThreadMetadata, context: RequestContext, server: ChatServer
) -> AsyncIterator[ThreadStreamEvent]:
    """Replace the list with a ticket and let the agent comment on it."""
    chosen = sender.model_copy(update={"widget": ticket(payload.seat), "copy_text": f"Seat {payload.seat}"})
    yield ThreadItemReplacedEvent(item=chosen)
    note = HiddenContextItem(
        id=server.store.generate_item_id("message", thread, context),
        thread_id=thread.id,
        created_at=sender.created_at,
        content=f"The user has taken seat {payload.seat}.",
    )
    yield ThreadItemDoneEvent(item=note)
    async for event in server.respond(thread, None, context):
        yield event


@actions.on("seat.return")
async def give_back() -> WidgetRoot:
    """Replace the ticket with the list."""
    return seat_list()


agent = Agent[AgentContext[Any]](
    name="Box office", instructions="Sell seats with `offer_seats`. Be brief.", tools=[offer_seats]
)
