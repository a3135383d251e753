"""The model behind the agent: OpenAI, a compatible endpoint, the embedded model or the demo."""

from .errors import EmbeddedModelError, ModelSetupError, WeightsError
from .info import ModelInfo
from .models import Models, open_models

__all__ = ["EmbeddedModelError", "ModelInfo", "ModelSetupError", "Models", "WeightsError", "open_models"]
