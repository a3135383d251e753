"""What the log says of a blocked event loop: whose code blocked it, and what to do (`startup/event_loop.py`)."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chatkit_server
import chatkit_store
from chatkit_server.startup.event_loop import Block, LoopWatch, block_of

STORE = str(Path(chatkit_store.__file__).parent / "sqlite_threads.py")
SERVER = str(Path(chatkit_server.__file__).parent / "turns" / "turn.py")
LIBRARY = str(Path(asyncio.__file__).parent / "streams.py")
LOOP = str(Path(asyncio.__file__).parent / "base_events.py")

LOOK = "    return block_of(sys._getframe())"


def function_in(file: str, source: str) -> Callable[..., Any]:
    """Return the function `f` of the source, as if it were in this file."""
    names: dict[str, Any] = {"sys": sys, "time": time, "block_of": block_of}
    exec(compile(source, file, "exec"), names)
    function: Callable[..., Any] = names["f"]
    return function


@pytest.mark.parametrize("file", [STORE, SERVER], ids=["store", "server"])
async def test_a_coroutine_of_the_server_is_not_the_authors_who_awaits_it(file: str) -> None:
    assert await function_in(file, f"async def f():\n{LOOK}")() == Block(f"f ({file}, line 2)", is_authors=False)


def test_a_function_of_the_server_that_the_author_calls_is_the_authors() -> None:
    block = function_in(STORE, f"def f():\n{LOOK}")()
    assert block.is_authors
    assert Path(__file__).name in block.location


async def test_a_function_of_the_author_is_named_also_within_a_library() -> None:
    in_library = function_in(LIBRARY, f"def f():\n{LOOK}")
    block = await function_in(SERVER, "async def f(function):\n    return function()")(lambda: in_library())
    assert block.is_authors
    assert Path(__file__).name in block.location


def test_libraries_alone_are_not_reported() -> None:
    in_library = function_in(LIBRARY, f"def f():\n{LOOK}")
    assert function_in(LOOP, "def f(function):\n    return function()")(in_library) is None


async def test_a_block_in_the_servers_code_has_no_advice_for_authors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chatkit_server")
    watch = LoopWatch(asyncio.get_running_loop())
    watch.start()
    try:
        await asyncio.sleep(0)
        await function_in(STORE, "async def f():\n    time.sleep(0.9)")()
        async with asyncio.timeout(30):
            while f"in this server's f ({STORE}, line 2)" not in caplog.text:  # noqa: ASYNC110 - an OS thread logs it
                await asyncio.sleep(0.05)
    finally:
        watch.stop()
    (record,) = [record for record in caplog.records if f"f ({STORE}, line 2)" in record.getMessage()]
    assert record.levelname == "INFO"
    assert record.getMessage().endswith("The machine, or the disk of the database or of files, is busy")
