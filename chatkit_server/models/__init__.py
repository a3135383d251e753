"""The model behind the agent: OpenAI, a compatible endpoint, the embedded model or the demo."""

from chatkit_server.models.errors import EmbeddedModelError, ModelSetupError, WeightsError
from chatkit_server.models.info import ModelInfo
from chatkit_server.models.models import Models, open_models

__all__ = ["EmbeddedModelError", "ModelInfo", "ModelSetupError", "Models", "WeightsError", "open_models"]
