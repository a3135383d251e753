"""What a user may choose beside a message: a model, and a tool that the agent has to use.

The page shows what the settings list (`GET /api/chatkit/options`); what comes back in a message's `inference_options`
is held against the same lists, because anybody can post anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatkit.types import InferenceOptions
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors.http import InvalidChoice


class Listed(BaseModel):
    """An entry of a list in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(Listed):
    """Something with an id and a label; without one the id is shown."""

    id: str = Field(min_length=1)
    label: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: object) -> object:
        if isinstance(value, str):
            value = {"id": value}
        return {"label": value["id"], **value} if isinstance(value, dict) and "id" in value else value


class ModelChoice(Choice):
    """A model of the endpoint, by its name there."""

    description: str | None = None
    default: bool = False


class ToolChoice(Choice):
    """A tool of the agent that a message may ask for."""

    icon: str = "bolt"
    tool: str | None = None
    """Name of the agent's tool, where it is not the id."""
    short_label: str | None = None
    placeholder: str | None = None
    pinned: bool = False
    persistent: bool = False

    @property
    def name(self) -> str:
        """What the agent calls it."""
        return self.tool or self.id


class Prompt(Listed):
    """A starter prompt; `icon` is one of the widget's."""

    label: str
    prompt: str
    icon: str = "sparkle"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a message asks for; None where it leaves that to the server."""

    model: str | None = None
    tool: str | None = None
    """Name of the agent's tool."""


NOTHING_CHOSEN = Chosen()


@dataclass(frozen=True, slots=True)
class Choices:
    """What is on offer."""

    models: Sequence[ModelChoice] = ()
    tools: Sequence[ToolChoice] = ()

    def check(self, options: InferenceOptions) -> Chosen:
        """What a new message chose. Raises `InvalidChoice` for what is not on offer."""
        chosen = self.known(options)
        if options.model is not None and chosen.model is None:
            raise InvalidChoice(_refusal("model", options.model))
        if options.tool_choice is not None and chosen.tool is None:
            raise InvalidChoice(_refusal("tool", options.tool_choice.id))
        return chosen

    def known(self, options: InferenceOptions) -> Chosen:
        """What an older message chose, as far as it is still on offer."""
        model = next((model.id for model in self.models if model.id == options.model), None)
        wanted = options.tool_choice.id if options.tool_choice is not None else None
        return Chosen(model, next((tool.name for tool in self.tools if tool.id == wanted), None))


def _refusal(kind: str, wanted: str) -> str:
    return f"The {kind} “{wanted[:60]}” is not on offer here. Please reload the page and choose another one."
