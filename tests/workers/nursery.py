"""A warm process that forks servers. Each child is a process that runs `chatkit-server serve`, with lifespan and
signals, or another command; only the seconds of its imports are saved.

It reads one order a line: `{"run": [...arguments], "environment": ..., "folder": ..., "log": ...}` is answered by the
process's number,
`{"poll": number}` by its exit code, or null while it runs. A process that is not polled stays a zombie, as under a
supervisor that is slow. At the end of the orders everything is killed.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import typer

from chatkit_server import create_app
from chatkit_server.cli import app
from tests.serving import make_settings

LATE = (
    "aiosqlite",
    "asyncpg",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)
"""Modules that the server imports lazily."""


def warm_up() -> None:
    """Import everything that a server will."""
    for name in LATE:
        importlib.import_module(name)
    for base_url in (None, "http://127.0.0.1:9/v1"):
        model = "gpt-test" if base_url else "demo"
        create_app(make_settings(Path(), model=model, base_url=base_url))
    gc.collect()
    gc.freeze()


def run(arguments: list[str], environment: dict[str, str], folder: str, log: str) -> None:
    """Become `chatkit-server` with these arguments. Does not return normally."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, output, output)):
        os.dup2(source, number)
    command = typer.main.get_command(app)
    command(arguments)


def carry_out(order: dict[str, Any], running: set[int]) -> int | None:
    if "run" in order:
        if (process := os.fork()) == 0:
            code = 1
            try:
                run(order["run"], order["environment"], order["folder"], order["log"])
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        running.add(process)
        return process
    with contextlib.suppress(ChildProcessError):
        ended_pid, status = os.waitpid(order["poll"], os.WNOHANG)
        if ended_pid == 0:
            return None
        running.discard(ended_pid)
        return os.waitstatus_to_exitcode(status)
    return 0


def main() -> None:
    warm_up()
    running: set[int] = set()
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line), running)), flush=True)  # noqa: T201 - the answer
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main()
