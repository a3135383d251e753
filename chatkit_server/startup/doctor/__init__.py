"""`chatkit-server doctor`: check that everything the settings name exists and works. Changes nothing."""

from .examination import examinable, examine
from .finding import Finding

__all__ = ["Finding", "examine", "examinable"]
