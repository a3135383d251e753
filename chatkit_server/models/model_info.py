"""Which model answers, as the page, `/readyz` and `doctor` show it."""

from dataclasses import dataclass
from typing import Literal

ProviderName = Literal["openai", "compatible", "embedded", "demo"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that answers where an agent names none."""

    provider: ProviderName
    name: str
    note: str | None = None
    """What a person should know before trusting an answer; None where there is nothing to say."""
    tools: bool = True
    """Whether the model can call tools."""
    reads: frozenset[Literal["image", "pdf"]] = frozenset({"image", "pdf"})
    """What the model can be shown besides text."""
