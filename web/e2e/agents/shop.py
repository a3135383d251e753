"""A server with things that a user can mention with @: `uvicorn shop:app`."""

from chatkit.types import UserMessageTagContent
from chatkit.widgets import DynamicWidgetRoot

from chatkit_server import ChatServer, Entity, RequestContext, Settings, create_app

ORDERS = {"17": "two chairs", "18": "a lamp"}


class Shop(ChatServer):
    """Users mention their orders."""

    async def search_entities(self, query: str, context: RequestContext) -> list[Entity]:
        """Return the orders whose number begins with the query."""
        numbers = [number for number in ORDERS if number.startswith(query)]
        return [Entity(id=n, title=f"Order {n}", group="Orders", icon="cube", interactive=True) for n in numbers]

    async def preview_entity(self, entity: Entity, context: RequestContext) -> DynamicWidgetRoot | None:
        """Return a card about an order."""
        text = {"type": "Text", "value": f"It contains {ORDERS[entity.id]}."}
        return DynamicWidgetRoot.model_validate({"type": "Card", "children": [text]})

    async def describe_mention(self, mention: UserMessageTagContent, context: RequestContext) -> str:
        """Return what the model reads of an order."""
        return f"Order {mention.id}: {ORDERS[mention.id]}"


app = create_app(Settings(), server=Shop)
