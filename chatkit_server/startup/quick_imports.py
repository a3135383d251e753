"""Import the SDKs with less CPU: a container may have half a core, and a rolling restart waits for each new worker.

Without this, `import chatkit_server.cli` takes twice as long: the garbage collector scans half a million permanent
objects again and again, and types are built that this server does not use.
"""

import gc
import importlib.util
import sys
from types import ModuleType
from typing import Any

POSTPONED = ("openai.types.beta", "mcp")
"""The first imports 500 modules, of which only `openai.types.beta.chatkit` is used; the second a client and a server,
which are used only with MCP servers."""


def begin_imports() -> None:
    """Pause garbage collection, and leave the postponed packages empty until somebody needs a name of them."""
    gc.disable()
    for name in POSTPONED:
        _postpone(name)


def end_imports() -> None:
    """Collect garbage again, except in what was imported: it stays, and looking at it takes a tenth of the CPU."""
    gc.freeze()
    gc.enable()


class _PostponedPackage(ModuleType):
    """A package whose own module runs when a name is read that is not one of its imported submodules."""

    def __getattr__(self, name: str) -> Any:
        """Run the module, then return its name."""
        self.__class__ = ModuleType  # type: ignore[assignment]  # its base class
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _postpone(name: str) -> None:
    """Import a package without running its module; its submodules can be imported as ever."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _PostponedPackage
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
