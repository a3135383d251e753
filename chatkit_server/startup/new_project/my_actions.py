"""What happens when users click in the widgets that the agent shows."""

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel

from chatkit_server import Actions

actions = Actions()


class Rating(BaseModel):
    """What the form sends; the server checks it before the handler runs."""

    stars: int


def card(*children: object) -> DynamicWidgetRoot:
    """Return a widget with some parts."""
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": list(children)})


def rating_form() -> DynamicWidgetRoot:
    """Return the form that the agent shows."""
    stars = [{"value": str(count), "label": "★" * count} for count in (1, 2, 3)]
    return card(
        {
            "type": "Form",
            "direction": "col",
            "onSubmitAction": {"type": "rating.send"},
            "children": [
                {"type": "RadioGroup", "name": "stars", "options": stars, "required": True},
                {"type": "Button", "label": "Send", "submit": True},
            ],
        }
    )


@actions.on("rating.send")
async def send_rating(payload: Rating, sender: WidgetItem) -> DynamicWidgetRoot:
    """Replace the form by a thank-you."""
    return card({"type": "Text", "value": f"Thank you for {payload.stars} stars."})
