"""Provide the agent's model: OpenAI, a compatible endpoint, the embedded model or the demo."""

from .model_info import ModelInfo
from .models import Models, open_models

__all__ = ["ModelInfo", "Models", "open_models"]
