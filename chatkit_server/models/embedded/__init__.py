"""Run a small GGUF model in a child process and talk to it like to any other endpoint.

Each worker has its own child process (0.3 GB), which ends with it.
"""

from .embedded_model import EmbeddedModel, EmbeddedProvider
from .process import EmbeddedProcess

__all__ = ["EmbeddedModel", "EmbeddedProcess", "EmbeddedProvider"]
