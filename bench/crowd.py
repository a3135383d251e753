"""Measure many concurrent turns at a model's pace: delay and CPU per token, and how many turns a server sustains."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.processes import ROOT, Endpoint, Server, load_cores
from bench.report import progress
from bench.scenarios import Contender, Plan, Samples, alternate

STARTS_PER_SECOND = 50.0
"""Turns start slowly, because a start costs as much as many tokens and is not measured here."""
LEAD_SECONDS = 0.8
"""Time for the client processes to start."""
LIMIT_MS = 50.0
"""Highest p99 delay beyond the flush window that counts as sustained."""
FLUSH_MS = {"ours": 40.0}
"""The default of CHATKIT_FLUSH_MS; all other servers send every token at once."""
FIRST_GUESS = 100
GROWTH = 1.5
"""Factor between the first guesses."""
PRECISION = 1.15
"""The search stops when the bounds differ by less than this factor."""


@dataclass(frozen=True)
class Run:
    """The measurements of one crowd of turns, taken while all of them streamed."""

    delays: list[float]
    """Milliseconds from the endpoint to the client for each token, sorted."""
    lost: int
    """Turns that did not end in time."""
    cpu: float
    """The server's CPU µs per token."""
    waited: float
    """The share of the time in which the server was ready to run while other processes used its core."""
    load: float
    """The share of a core that the endpoint and the clients used."""

    def percentile(self, share: float) -> float:
        return self.delays[min(int(len(self.delays) * share), len(self.delays) - 1)]


@dataclass(frozen=True)
class Stage:
    """The endpoint and the plan of a crowd."""

    endpoint: Endpoint
    plan: Plan

    async def run(self, server: Server, streams: int) -> Run:
        """Run `streams` concurrent turns. Measures only after all of them have started."""
        plan, ramp = self.plan, max(1.0, streams / STARTS_PER_SECOND)
        start = time.monotonic() + LEAD_SECONDS
        options = {"url": server.url, "streams": streams, "rate": plan.rate, "start": start, "ramp": ramp}
        processes = max(1, len(load_cores()) - 1)
        clients = [
            asyncio.create_task(listen({**options, "steady": plan.seconds, "first": first, "step": processes}))
            for first in range(processes)
        ]
        await asyncio.sleep(start + ramp - time.monotonic())
        before = server.cpu_seconds(), server.waited_seconds(), self.endpoint.cpu_seconds()
        await asyncio.sleep(start + ramp + plan.seconds - time.monotonic())
        after = server.cpu_seconds(), server.waited_seconds(), self.endpoint.cpu_seconds()
        cpu, waited, endpoint_cpu = (b - a for a, b in zip(before, after, strict=True))
        results = await asyncio.gather(*clients)
        await _wait_until_idle(server)
        return Run(
            delays=sorted(delay / 1000 for result in results for delay in result["delays"]),
            lost=sum(result["lost"] for result in results),
            cpu=cpu / (plan.rate * streams * plan.seconds) * 1e6,
            waited=waited / plan.seconds,
            load=(endpoint_cpu + sum(result["cpu"] for result in results)) / plan.seconds,
        )


async def delays(contenders: Sequence[Contender], stage: Stage) -> dict[str, Samples]:
    """Return p50 and p99 of the delay added to a token, CPU per token and load, by their names in the report."""
    kinds = [contender.kind for contender in contenders]
    samples: dict[str, Samples] = {name: {kind: [] for kind in kinds} for name in ("p50", "p99", "waited", "load")}

    async def measure_round(contender: Contender) -> float:
        run = await stage.run(contender.server, stage.plan.crowd)
        _check_complete(run)
        for name, value in _figures(run).items():
            samples[name][contender.kind].append(value)
        return run.cpu

    cpu = await alternate(contenders, stage.plan.crowd_rounds, measure_round)
    # The first round is a warm-up.
    return {"cpu": cpu} | {
        name: {kind: values[1:] for kind, values in by_kind.items()} for name, by_kind in samples.items()
    }


def _figures(run: Run) -> dict[str, float]:
    return {
        "p50": statistics.median(run.delays),
        "p99": run.percentile(0.99),
        "waited": run.waited * 100,
        "load": run.load * 100,
    }


async def cpu(contenders: Sequence[Contender], stage: Stage) -> Samples:
    """Return CPU µs per token, measured while all turns stream."""

    async def measure_round(contender: Contender) -> float:
        run = await stage.run(contender.server, stage.plan.crowd)
        _check_complete(run)
        return run.cpu

    return await alternate(contenders, stage.plan.crowd_rounds, measure_round)


def _check_complete(run: Run) -> None:
    if run.lost or not run.delays:
        raise RuntimeError(f"{run.lost} turns did not end; this machine is too slow for this many (--crowd)")


async def capacity(contenders: Sequence[Contender], stage: Stage) -> Samples:
    """Return how many turns each server sustains before its p99 delay exceeds the flush window by `LIMIT_MS`."""
    return {contender.kind: [float(await _find_capacity(contender.server, stage))] for contender in contenders}


async def _find_capacity(server: Server, stage: Stage) -> int:
    sustained, too_many = 0, 0
    streams = FIRST_GUESS
    while not too_many or too_many > sustained * PRECISION:
        if await _sustains(server, stage, streams):
            sustained = streams
        else:
            too_many = streams
        if 0 < too_many < 10:
            break
        streams = int((sustained + too_many) / 2) if too_many else int(streams * GROWTH)
    return sustained


async def _sustains(server: Server, stage: Stage, streams: int) -> bool:
    """Return whether the server sustains this many turns; try twice, since other load only makes it worse."""
    for _ in range(2):
        run = await stage.run(server, streams)
        p99 = run.percentile(0.99) if run.delays and not run.lost else float("inf")
        progress(
            f"    {server.kind}, {streams} turns: p99 {p99:.0f} ms, {run.cpu:.0f} µs per token, the server waited for "
            f"its core {run.waited:.0%} of the time, endpoint and clients used {run.load:.0%} of a core"
        )
        if p99 <= LIMIT_MS + FLUSH_MS.get(server.kind, 0.0):
            return True
    return False


async def _wait_until_idle(server: Server) -> None:
    """Wait until the server has finished its work."""
    for _ in range(100):
        before = server.cpu_seconds()
        await asyncio.sleep(0.3)
        if server.cpu_seconds() - before < 0.05:
            return


async def listen(options: dict[str, Any], attached: asyncio.Event | None = None) -> dict[str, Any]:
    """Run clients in a separate process (`bench.listeners`). Raises `RuntimeError` if an answer is wrong.

    Sets `attached` when all readers are attached.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.listeners", json.dumps(options), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    if attached is not None and await process.stdout.readline():
        attached.set()
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("a client failed; see its output above")
    result: dict[str, Any] = json.loads(output)
    return result
