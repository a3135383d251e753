"""What the server offers to the page, in the widget's own shapes (`@openai/chatkit` 1.9)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from .choices import ModelChoice, Prompt, ToolChoice


class WidgetShape(BaseModel):
    """Base of these shapes; fields are camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class OfferedModel(WidgetShape):
    """An entry of `composer.models`."""

    id: str
    label: str
    description: str | None = None
    default: bool = False


class OfferedTool(WidgetShape):
    """An entry of `composer.tools`."""

    id: str
    label: str
    icon: str
    short_label: str | None = None
    placeholder_override: str | None = None
    pinned: bool = False
    persistent: bool = False


class OfferedAttachments(WidgetShape):
    """`composer.attachments`, for two-phase uploads; `max_size` in bytes."""

    enabled: bool = True
    max_size: int
    max_count: int


class Features(WidgetShape):
    """Which parts of the widget the page can switch on."""

    attachments: bool
    dictation: bool
    mentions: bool
    mention_previews: bool
    feedback: bool = True
    history: bool = True
    retry: bool = True


class Offers(WidgetShape):
    """`GET /api/chatkit/options`."""

    widget: Literal["auto", "stock", "open"]
    """Which element the page shows (CHATKIT_WIDGET)."""
    agent: str | None = None
    """The agent's name; None where a function chooses the agent for each request."""
    models: list[OfferedModel]
    tools: list[OfferedTool]
    prompts: list[Prompt]
    attachments: OfferedAttachments | None = None
    features: Features


def offered_model(choice: ModelChoice) -> OfferedModel:
    """Return the entry for the widget's model menu."""
    return OfferedModel.model_validate(choice.model_dump())


def offered_tool(choice: ToolChoice) -> OfferedTool:
    """Return the entry for the widget's tool menu, without the name of the agent's tool."""
    return OfferedTool.model_validate(choice.model_dump() | {"placeholder_override": choice.placeholder})
