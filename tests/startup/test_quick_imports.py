"""What the command leaves out when it imports the SDKs, and that nothing misses it."""

import subprocess
import sys

from tests.workers.processes import ROOT

PROGRAM = """
import gc, sys
import chatkit_server.cli
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
beta = [name for name in sys.modules if name.startswith("openai.types.beta.")]
assert all(name.startswith("openai.types.beta.chatkit") for name in beta), beta
assert "mcp.client" not in sys.modules
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


def test_the_command_imports_without_garbage_collection_and_unused_types() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
