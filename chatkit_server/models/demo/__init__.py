"""Answer from a script that needs no key and no network, and says so."""

from .demo_model import DemoModel, DemoProvider

__all__ = ["DemoModel", "DemoProvider"]
