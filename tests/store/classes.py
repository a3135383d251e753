"""The classes of the store, found in its modules: a new one is tested without being named."""

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import chatkit_store


def store_classes() -> dict[str, type]:
    """Return the classes of the store that run statements, by name."""
    modules = [import_module(f"chatkit_store.{module.name}") for module in pkgutil.iter_modules(chatkit_store.__path__)]
    members = (member for module in modules for member in vars(module).items())
    return {name: kind for name, kind in members if _is_store(name, kind)}


def _is_store(name: str, member: Any) -> bool:
    return inspect.isclass(member) and name.endswith("Store") and member.__module__.startswith("chatkit_store")


def public_methods(kind: type) -> set[str]:
    """Return the names of all public coroutine methods."""
    return {name for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction) if not name.startswith("_")}
