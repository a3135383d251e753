"""The embedded model: a small GGUF model in a child process, spoken to as to any other endpoint.

Each worker process has a child of its own (0.3 GB), which ends with it.
"""

from .embedded_model import EmbeddedModel, EmbeddedProvider
from .process import EmbeddedProcess

__all__ = ["EmbeddedModel", "EmbeddedProcess", "EmbeddedProvider"]
