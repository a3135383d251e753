"""`chatkit-server serve --workers 2`, whose workers uvicorn starts and watches."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.workers.processes import COMMAND, ROOT
from tests.workers.sql import select

SLOW_START = """
import os, sys, time

if "--multiprocessing-fork" in sys.orig_argv:
    open(f"worker-{os.getpid()}", "w").close()
    time.sleep(7)
"""
"""A `sitecustomize`: it makes a worker's start as slow as a large agent on a busy machine."""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_workers_that_start_slowly_are_not_replaced(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "chatkit-server").write_text(COMMAND, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(SLOW_START, encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": f"{tmp_path}:{ROOT}:{ROOT / 'store'}",
        "CHATKIT_DATABASE_URL": database_url,
        "CHATKIT_MODEL": "demo",
    }
    command = [sys.executable, "-W", "ignore", "chatkit-server", "serve", "--port", "0", "--workers", "2"]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(120):
            while len(await select(engine, "SELECT id FROM workers")) < 2:
                assert process.returncode is None, (tmp_path / "log").read_text(encoding="utf-8")
                await asyncio.sleep(0.2)
        assert len([name for name in os.listdir(tmp_path) if name.startswith("worker-")]) == 2
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await process.wait()
