"""What the command leaves out when it imports the SDKs, and that nothing misses it."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from pydantic import TypeAdapter

from chatkit_server.startup.quick_imports import ADAPTERS_DEFER, POSTPONED, module_lock
from tests.workers.processes import ROOT

IMPORTS = """
import gc, sys
import chatkit_server.cli
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
beta = [name for name in sys.modules if name.startswith("openai.types.beta.")]
assert all(name.startswith("openai.types.beta.chatkit") for name in beta), beta
import openai.types.beta
from chatkit_server.routes.openai_items import ChatKitThread
assert openai.types.beta.chatkit.ChatKitThread is ChatKitThread
from openai.types.beta import Assistant
assert Assistant is openai.types.beta.assistant.Assistant
assert openai.types.beta.chatkit.ChatKitThread is ChatKitThread
assert not hasattr(openai.types.beta, "nothing")
from agents.mcp import MCPServerStdio
import mcp
from mcp.client.session import ClientSession
assert mcp.ClientSession is ClientSession
"""
ALL_NAMES = """
import importlib, types, __future__
def names(package):
    values = vars(importlib.import_module(package)).items()
    return [name for name, value in values if name[0] != "_" and not isinstance(value, OTHER)]
OTHER = (types.ModuleType, __future__._Feature)
print({{package: names(package) for package in {packages}}})
"""
NAMES = """
import sys
import chatkit_server.cli
for package in {packages}:
    module = sys.modules[package]
    assert type(module).__name__ == "_PostponedPackage", package
    names = {names}[package]
    values = {{name: getattr(module, name) for name in names}}
    assert not hasattr(module, "nothing_at_all")  # runs the package's own module
    assert type(module).__name__ == "module"
    for name, value in values.items():
        assert vars(module)[name] is value, (package, name)
"""
START = """
import asyncio, sys
import chatkit_server.cli as cli

async def start():
    app = cli.build_worker()
    async with app.router.lifespan_context(app):
        pass

asyncio.run(cli._migrate_or_refuse(cli.Settings()))
asyncio.run(start())
unused = {unused}
below = tuple(f"{{name}}." for name in unused)
imported = sorted(name for name in sys.modules if name in unused or name.startswith(below))
assert imported == [], imported
assert len(sys.modules) < 2_200, len(sys.modules)
"""
UNUSED = (
    *("alembic", "mako", "pygments", "rich", "charset_normalizer", "jwt", "cryptography", "asyncpg", "obstore"),
    *("sqlalchemy.orm", "mcp.client", "mcp.server", "numpy", "tiktoken", "litellm", "requests", "xllamacpp"),
    *("openai.types.evals", "openai.types.fine_tuning", "openai.types.vector_stores", "openai.types.admin"),
    *("openai.types.realtime", "openai.types.containers", "openai.types.uploads", "openai.types.skills"),
    *("openai.resources", "chatkit_server.startup.doctor"),
)
"""What a server on SQLite, with a new database, without files, MCP servers and tokens of an issuer starts without."""
ADAPTERS = """
import chatkit_server.cli
import openai.types.responses as responses
assert not responses.ResponseTextDeltaEvent.__pydantic_complete__
events = [value for name, value in vars(responses).items() if name.endswith("Event")]
assert not any(getattr(event, "__pydantic_complete__", False) for event in events)
from pydantic import BaseModel, TypeAdapter
import mcp_types
from chatkit.types import ThreadStreamEvent
assert not mcp_types.client_request_adapter.pydantic_complete
assert mcp_types.client_request_adapter.validate_python({"method": "ping"}).method == "ping"
assert mcp_types.Tool.model_validate({"name": "look", "inputSchema": {"type": "object"}}).name == "look"
assert TypeAdapter(ThreadStreamEvent).pydantic_complete
assert "defer_build" not in BaseModel.model_config
"""
WARNINGS = """
import gc, warnings
warnings.simplefilter("error", UserWarning)
import chatkit_server.cli
from pydantic import TypeAdapter
gc.unfreeze()
adapters = [value for value in gc.get_objects() if isinstance(value, TypeAdapter) and not value.pydantic_complete]
assert any("chatkit_server.plain" in str(adapter._type) for adapter in adapters)
for adapter in adapters:
    adapter.rebuild()
"""
THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import chatkit_server.cli
import mcp
assert type(mcp).__name__ == "_PostponedPackage"
sys.setswitchinterval(1e-5)
barrier = Barrier(8)

def look(number):
    barrier.wait()
    return mcp.ClientSession, mcp.stdio_client, hasattr(mcp, "nothing")

with ThreadPoolExecutor(8) as threads:
    assert len(set(threads.map(look, range(8)))) == 1
assert type(mcp).__name__ == "module"
"""


def run(program: str, **environment: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", program]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'store'}"}
    done = subprocess.run(command, cwd=ROOT, env=paths | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_imports_without_garbage_collection_and_unused_types() -> None:
    run(IMPORTS)


def test_postponed_packages_have_all_the_names_that_they_had() -> None:
    command = [sys.executable, "-W", "ignore", "-c", ALL_NAMES.format(packages=POSTPONED)]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert names.count("'") > 1_000
    run(NAMES.format(packages=POSTPONED, names=names))


def test_threads_that_read_a_package_at_the_same_time_all_find_its_names() -> None:
    assert module_lock is not nullcontext  # without it, some do not
    run(THREADS)


def test_a_start_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chatkit.db'}"
    run(
        START.format(unused=UNUSED),
        CHATKIT_DATABASE_URL=url,
        CHATKIT_DATA_DIR=str(tmp_path),
        CHATKIT_MODEL="demo",
    )


def test_validators_of_the_sdks_are_built_when_they_are_used() -> None:
    run(ADAPTERS)


def test_validators_that_are_built_at_the_first_request_warn_of_nothing() -> None:
    run(WARNINGS)


def test_pydantic_has_the_attribute_that_defers_adapters() -> None:
    """Without it, a start builds all of them."""
    assert isinstance(getattr(TypeAdapter, ADAPTERS_DEFER, None), property)
