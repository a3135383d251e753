"""Describe the model that answers, for the page, `/readyz` and `doctor`."""

from dataclasses import dataclass
from typing import Literal

ProviderName = Literal["openai", "compatible", "embedded", "demo"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that answers when an agent names none."""

    provider: ProviderName
    name: str
    note: str | None = None
    """A warning for users about the quality of its answers, or None."""
    tools: bool = True
    """Whether the model can call tools."""
    reads: frozenset[Literal["image", "pdf"]] = frozenset({"image", "pdf"})
    """Kinds of input that the model accepts besides text."""
