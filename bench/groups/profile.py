"""Where the CPU time of a token goes: samples of py-spy, which is not among the requirements."""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.groups.paced import EDGE_SECONDS, STARTS_PER_SECOND, crowd
from bench.rows import Row
from bench.suite import Bench

FRAME = re.compile(r"\(([\w./-]+):\d+\)$")
RATE = 500
"""Samples per second."""
SECONDS = 8.0
SHOWN_MICROSECONDS = 0.5
"""Parts that take less are counted together."""


def has_sampler() -> bool:
    """Return whether py-spy can be run."""
    return shutil.which("py-spy") is not None


async def profile(bench: Bench) -> list[Row]:
    """Sample our server while answers stream; needs py-spy."""
    if not has_sampler():
        raise RuntimeError("py-spy is not installed: pip install py-spy")
    seconds = SECONDS if bench.plan.seconds > 1 else 1.0
    bench = replace(bench, plan=replace(bench.plan, seconds=seconds + 1.0))
    server, file = await bench.server("ours"), bench.folder / "samples.txt"
    running = asyncio.create_task(crowd(bench, [server]))
    await asyncio.sleep(bench.plan.answers / STARTS_PER_SECOND + EDGE_SECONDS)
    # Only what holds the lock of the interpreter: so nothing counts that waits. The rest is in C, or in the kernel.
    options = ["--gil", "--nonblocking", "--rate", str(RATE), "--duration", f"{seconds:.0f}", "--format", "raw"]
    command = ["py-spy", "record", *options, "--pid", str(server.process), "--output", str(file)]
    sampler = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output, _ = await sampler.communicate()
    usage, delays = await running
    if sampler.returncode:
        raise RuntimeError(f"py-spy failed: {output.decode()[-300:]}")
    tokens = bench.plan.answers * bench.plan.rate * seconds
    parts = {part: count / RATE / tokens * 1e6 for part, count in _samples(file).most_common()}
    shown = {part: micros for part, micros in parts.items() if micros >= SHOWN_MICROSECONDS}
    shown["other Python"] = sum(parts.values()) - sum(shown.values())
    shown["the event loop in C, the kernel"] = max(0.0, usage.cpu / len(delays) * 1e6 - sum(parts.values()))
    samples = {part: [micros] for part, micros in shown.items()}
    return [Row("profile", "Where a token's time goes, by the code that was running", "CPU µs per token", samples)]


def _samples(file: Path) -> Counter[str]:
    """Count the samples by package, and by room of the server, of the innermost frame."""
    parts: Counter[str] = Counter()
    for line in file.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        parts[_part(stack.rpartition(";")[2])] += int(count)
    return parts


def _part(frame: str) -> str:
    match = FRAME.search(frame)
    folders = match[1].split("/")[:-1] if match else []
    if folders[:1] == ["chatkit_server"]:
        return "/".join(folders[:2])
    return folders[0] if folders else "standard library"
