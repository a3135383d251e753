"""Import the SDKs with less CPU: a container may have half a core, and a rolling restart waits for each new worker.

Without this, `import chatkit_server.cli` takes twice as long: the garbage collector scans half a million permanent
objects again and again, types are imported that this server does not use, and validators are built that nobody needs.
"""

import gc
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from importlib import _bootstrap, import_module  # private: see `module_lock`
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.warnings import UnsupportedFieldAttributeWarning

POSTPONED = (
    "openai.types",
    "openai.types.beta",
    "openai.types.graders",
    "openai.types.responses",
    "openai.types.chat",
    "mcp",
    "sqlalchemy.ext.asyncio",
)
"""Packages that import all that they have: of OpenAI's 900 types half are used, of SQLAlchemy's asyncio not the ORM,
and a client and a server of MCP only with MCP servers."""
ADAPTERS_DEFER = "_defer_build"
module_lock = getattr(_bootstrap, "_ModuleLockManager", nullcontext)
"""What Python's own import holds while a module runs; it notices threads that would wait for each other forever.

Private: without it, a thread may miss names of a package whose module another thread is running."""
_EXPORT = re.compile(r"^from \.(\w+) import (\w+) as \2$", re.M)
_EXPORTS = re.compile(r"^from \.(\w+) import \(\n((?:    \w+ as \w+,\n)+)\)$", re.M)
_until_end = ExitStack()
"""What `end_imports` ends."""


def begin_imports() -> None:
    """Pause garbage collection, leave the postponed packages empty until somebody needs a name of them, and let models
    build their validators when they are used: few ever are."""
    gc.disable()
    for name in POSTPONED:
        _postpone(name)
    _until_end.enter_context(_deferred_models())


def end_imports() -> None:
    """Build validators at once again, and collect garbage, except in what was imported: it stays, and looking at it
    takes a tenth of the CPU."""
    _until_end.close()
    gc.freeze()
    gc.enable()


class _PostponedPackage(ModuleType):
    """A package that imports a submodule when it is read, or a name that the package would import from there. Its own
    module runs when any other name is read."""

    def __getattr__(self, name: str) -> Any:
        """Import the submodule that has the name or is it, or run the module; return what the name stands for."""
        if "_exports" not in vars(self):
            self._exports = _exports_of(self.__spec__.origin) if self.__spec__ is not None else {}
        if (submodule := self._exports.get(name)) is not None:
            value = getattr(import_module(f"{self.__name__}.{submodule}"), name)
            setattr(self, name, value)
            return value
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return import_module(f"{self.__name__}.{name}")
        with _locked(self.__name__):
            if type(self) is _PostponedPackage:  # else another thread has run it
                self._run()
        return getattr(self, name)

    def _run(self) -> None:
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__class__ = _RunningPackage  # type: ignore[assignment]  # a sibling
        self.__spec__.loader.exec_module(self)
        self.__class__ = ModuleType  # type: ignore[assignment]  # the base class of both


class _RunningPackage(ModuleType):
    """A postponed package whose own module is running: other threads wait for it, as for any import."""

    def __getattr__(self, name: str) -> Any:
        """Return what the name stands for at the end of the run; in the thread that runs it, now."""
        with _locked(self.__name__):
            pass
        if name not in vars(self):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return vars(self)[name]


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold a module's lock. Of threads that wait for each other, one continues without it, as in Python's imports."""
    with ExitStack() as stack:
        with suppress(RuntimeError):
            stack.enter_context(module_lock(name))
        yield


def _exports_of(file: str | None) -> dict[str, str]:
    """Return which submodule each name comes from that a package exports as `from .submodule import name as name`."""
    source = "" if file is None else Path(file).read_text(encoding="utf-8")
    exports = {name: submodule for submodule, name in _EXPORT.findall(source)}
    for submodule, names in _EXPORTS.findall(source):
        exports |= {
            line.split()[0]: submodule for line in names.splitlines() if line.split()[0] == line.split()[2][:-1]
        }
    return exports


def _postpone(name: str) -> None:
    """Import a package without running its module, nor its parent's; its submodules can be imported as ever."""
    spec = None if name in sys.modules else _spec_of(name)
    if spec is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _PostponedPackage
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, package)


def _spec_of(name: str) -> ModuleSpec | None:
    """Return where a module is, without importing its parent."""
    parent = name.rpartition(".")[0]
    if not parent:
        return importlib.util.find_spec(name)
    if (outer := _spec_of(parent)) is None:
        return None
    return PathFinder.find_spec(name, outer.submodule_search_locations)


@contextmanager
def _deferred_models() -> Iterator[None]:
    """Have the models and type adapters that are defined in the block build their validators when they are used."""
    adapters = getattr(TypeAdapter, ADAPTERS_DEFER, None)
    BaseModel.model_config["defer_build"] = True
    if isinstance(adapters, property):  # private: without it, adapters are built as ever
        setattr(TypeAdapter, ADAPTERS_DEFER, property(lambda _: True))
        # FastAPI (0.165) ignores this warning while it makes the adapter of a parameter, which is too early now.
        warnings.filterwarnings("ignore", "The 'alias' attribute", UnsupportedFieldAttributeWarning)
    try:
        yield
    finally:
        del BaseModel.model_config["defer_build"]
        if isinstance(adapters, property):
            setattr(TypeAdapter, ADAPTERS_DEFER, adapters)
