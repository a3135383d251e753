"""The machine: how its cores are shared, how the CPU time of a process is read, and what a report says of it."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types

ROOT = Path(__file__).parents[1]
LIBRARIES = ("openai-chatkit", "openai-agents", "openai", "fastapi", "uvicorn", "uvloop", "httptools", "aiohttp")


@cache
def _available() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def server_cores() -> set[int]:
    """Return the core reserved for servers, or an empty set if there is only one core."""
    cores = sorted(_available())
    return set(cores[:1]) if len(cores) > 1 else set()


def load_cores() -> set[int]:
    """Return the cores for everything else."""
    return set(_available()) - server_cores()


def place_this_process() -> str:
    """Pin this process to the load cores; return a sentence on how the processes share the cores."""
    if not server_cores():
        return "This system cannot pin processes to cores: servers, endpoint and clients share all of them."
    os.sched_setaffinity(0, load_cores())
    return f"Each server runs on core {server_cores()}; the endpoint and all clients run on {load_cores()}."


def cpu_seconds(process: int) -> float:
    """Return the user and system time of a process and all its threads so far.

    On Linux by its CPU clock, in nanoseconds and from any process; elsewhere in the steps of the system.
    """
    if platform.system() == "Linux":
        return time.clock_gettime((~process << 3) | 2)  # clock_getcpuclockid(3)
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def waited_seconds(process: int) -> float:
    """Return how long the main thread was ready to run while others used its core; 0 if the system does not say."""
    with suppress(OSError):
        return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def memory_bytes(process: int) -> int:
    """Return the resident memory of a process."""
    return int(psutil.Process(process).memory_info().rss)


def private_bytes(process: int) -> int:
    """Return the resident memory that belongs to the process alone.

    On Linux exactly, and without the libraries' code, which the system drops when it is not used. Elsewhere all of it.
    """
    with suppress(OSError):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
        return int(rollup.split("Anonymous:")[1].split()[0]) * 1024
    return memory_bytes(process)


def unsent_bytes(port: int) -> int | None:
    """Return what the system holds of what a server has sent on all connections; None if it does not say."""
    with suppress(OSError):
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        return sum(
            int(fields[4].split(":")[0], 16) for fields in map(str.split, lines) if fields[1].endswith(f":{port:04X}")
        )
    return None


def describe(*, is_quick: bool) -> Mapping[str, Any]:
    """Return what a reader needs to compare a run with another: machine, versions, date and commit."""
    return {
        "samples": "small" if is_quick else "all",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": len(_available()) or os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _output("git", "describe", "--always", "--dirty", "--exclude", "*"),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _cpu_model() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip()
