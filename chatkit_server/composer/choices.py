"""What a user may choose with a message: a model, and a tool that the agent has to use.

The page offers what the settings list (`GET /api/chatkit/options`). A message's `inference_options` are checked against
the same lists, because a client can post anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from chatkit.types import InferenceOptions
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors.http import InvalidChoice


class SettingsEntry(BaseModel):
    """An entry of a JSON list in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    other_names: ClassVar[Mapping[str, str]] = {}
    """What other programs call a field, and what it is here."""

    @model_validator(mode="before")
    @classmethod
    def _has_known_names(cls, value: object) -> object:
        """Refuse a name that is none of a field, with the one that it may stand for."""
        for name in value if isinstance(value, dict) else ():
            if name not in cls.model_fields:
                similar = get_close_matches(str(name), cls.model_fields, n=1)
                meant = cls.other_names.get(str(name)) or (f"did you mean {similar[0]}?" if similar else "")
                raise ValueError(f"has no {name}; {meant or 'it takes ' + ', '.join(cls.model_fields)}")
        return value


class Choice(SettingsEntry):
    """Something with an id and a label; the label defaults to the id."""

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
    """A tool of the agent that a message may require."""

    icon: str = "bolt"
    tool: str | None = None
    """Name of the agent's tool if it differs from the id."""
    short_label: str | None = None
    placeholder: str | None = None
    pinned: bool = False
    persistent: bool = False

    @property
    def name(self) -> str:
        """The name of the agent's tool."""
        return self.tool or self.id


class Prompt(SettingsEntry):
    """A starter prompt; `icon` is one of the widget's icon names."""

    label: str
    prompt: str
    icon: str = "sparkle"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a message chose; None leaves the choice to the server."""

    model: str | None = None
    tool: str | None = None
    """Name of the agent's tool."""


NO_SELECTION = Selection()


@dataclass(frozen=True, slots=True)
class Choices:
    """The models and tools on offer."""

    models: Sequence[ModelChoice] = ()
    tools: Sequence[ToolChoice] = ()

    def check(self, options: InferenceOptions) -> Selection:
        """Return what a new message chose. Raises `InvalidChoice` if that is not on offer."""
        selection = self.still_offered(options)
        if options.model is not None and selection.model is None:
            raise InvalidChoice(_refusal("model", options.model))
        if options.tool_choice is not None and selection.tool is None:
            raise InvalidChoice(_refusal("tool", options.tool_choice.id))
        return selection

    def still_offered(self, options: InferenceOptions) -> Selection:
        """Return what an older message chose, without what is no longer on offer."""
        if options.model is None and options.tool_choice is None:
            return NO_SELECTION
        model = next((model.id for model in self.models if model.id == options.model), None)
        tool_id = options.tool_choice.id if options.tool_choice is not None else None
        return Selection(model, next((tool.name for tool in self.tools if tool.id == tool_id), None))


class AuthorChoices(Choices):
    """Choices of an adopted server: its code reads them, and where the settings offer none, its page offers its own."""

    def check(self, options: InferenceOptions) -> Selection:
        """As `Choices.check`, of what the settings offer."""
        offered = InferenceOptions(
            model=options.model if self.models else None, tool_choice=options.tool_choice if self.tools else None
        )
        return super().check(offered)


def _refusal(kind: str, id: str) -> str:
    return f"The {kind} “{id[:60]}” is not on offer here. Please reload the page and choose another one."
