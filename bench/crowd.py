"""Many turns at a model's pace: what is added to each token, what it costs, and how many turns a server carries."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.processes import ROOT, Endpoint, Server, load_cores
from bench.scenarios import Contender, Plan, Samples, alternate

STARTS_PER_SECOND = 50.0
"""The start of a turn costs as much as many tokens; it is not what is measured here."""
LEAD_SECONDS = 0.8
"""What the clients' processes need to be there."""
LIMIT_MS = 50.0
FLUSH_MS = {"ours": 40.0}
"""Default of CHATKIT_FLUSH_MS; all others send every token at once."""
FIRST_GUESS = 100
GROWTH = 1.5
PRECISION = 1.15


@dataclass(frozen=True)
class Run:
    """What one crowd of turns saw, while all of them streamed."""

    delays: list[float]
    """Milliseconds from the endpoint to the client, of every token; in order of size."""
    lost: int
    """Turns that did not come to an end in time."""
    cpu: float
    """The server's CPU µs per token."""
    waited: float
    """The share of the time for which the server could have run, and other processes had its core."""
    load: float
    """The share of a core that the endpoint and the clients used."""

    def percentile(self, share: float) -> float:
        return self.delays[min(int(len(self.delays) * share), len(self.delays) - 1)]


@dataclass(frozen=True)
class Stage:
    """What a crowd needs beside a server."""

    endpoint: Endpoint
    plan: Plan

    async def run(self, server: Server, streams: int) -> Run:
        """So many turns. The first moments, in which they begin, are left out."""
        plan, ramp = self.plan, max(1.0, streams / STARTS_PER_SECOND)
        starts = time.monotonic() + LEAD_SECONDS
        options = {"url": server.url, "streams": streams, "rate": plan.rate, "starts": starts, "ramp": ramp}
        clients = max(1, len(load_cores()) - 1)
        begun = [
            asyncio.create_task(listen({**options, "steady": plan.seconds, "first": first, "step": clients}))
            for first in range(clients)
        ]
        await asyncio.sleep(starts + ramp - time.monotonic())
        before = server.cpu_seconds(), server.waited_seconds(), self.endpoint.cpu_seconds()
        await asyncio.sleep(starts + ramp + plan.seconds - time.monotonic())
        after = server.cpu_seconds(), server.waited_seconds(), self.endpoint.cpu_seconds()
        used, waited, sending = (b - a for a, b in zip(before, after, strict=True))
        results = await asyncio.gather(*begun)
        await _rest(server)
        return Run(
            delays=sorted(delay / 1000 for result in results for delay in result["delays"]),
            lost=sum(result["lost"] for result in results),
            cpu=used / (plan.rate * streams * plan.seconds) * 1e6,
            waited=waited / plan.seconds,
            load=(sending + sum(result["cpu"] for result in results)) / plan.seconds,
        )


async def delays(contenders: Sequence[Contender], stage: Stage) -> dict[str, Samples]:
    """p50 and p99 of what is added to a token, and how busy everything was, by the names of the report."""
    kinds = [contender.kind for contender in contenders]
    seen: dict[str, Samples] = {name: {kind: [] for kind in kinds} for name in ("p50", "p99", "waited", "load")}

    async def one_round(contender: Contender) -> float:
        run = await stage.run(contender.server, stage.plan.crowd)
        _none_lost(run)
        for name, value in _figures(run).items():
            seen[name][contender.kind].append(value)
        return run.cpu

    cpu = await alternate(contenders, stage.plan.crowd_rounds, one_round)
    return {name: {kind: values[1:] for kind, values in samples.items()} for name, samples in seen.items()} | {
        "cpu": cpu
    }


def _figures(run: Run) -> dict[str, float]:
    return {
        "p50": statistics.median(run.delays),
        "p99": run.percentile(0.99),
        "waited": run.waited * 100,
        "load": run.load * 100,
    }


async def cpu(contenders: Sequence[Contender], stage: Stage) -> Samples:
    """CPU µs per token, while all turns stream."""

    async def one_round(contender: Contender) -> float:
        run = await stage.run(contender.server, stage.plan.crowd)
        _none_lost(run)
        return run.cpu

    return await alternate(contenders, stage.plan.crowd_rounds, one_round)


def _none_lost(run: Run) -> None:
    if run.lost or not run.delays:
        raise RuntimeError(f"{run.lost} turns did not end; this machine is too slow for so many, take fewer (--crowd)")


async def capacity(contenders: Sequence[Contender], stage: Stage) -> Samples:
    """How many turns a server carries before the p99 of what it adds passes its flush window by 50 ms."""
    return {contender.kind: [float(await _carried(contender.server, stage))] for contender in contenders}


async def _carried(server: Server, stage: Stage) -> int:
    carried, too_many = 0, 0
    streams = FIRST_GUESS
    while not too_many or too_many > carried * PRECISION:
        if await _carries(server, stage, streams):
            carried = streams
        else:
            too_many = streams
        if 0 < too_many < 10:
            break
        streams = int((carried + too_many) / 2) if too_many else int(streams * GROWTH)
    return carried


async def _carries(server: Server, stage: Stage, streams: int) -> bool:
    """Where it fails it gets another try: what else runs on the machine can only make it worse."""
    for _ in range(2):
        run = await stage.run(server, streams)
        added = run.percentile(0.99) if run.delays and not run.lost else float("inf")
        sys.stderr.write(
            f"    {server.kind}, {streams} turns: p99 {added:.0f} ms, {run.cpu:.0f} µs a token, the server waited for "
            f"its core {run.waited:.0%} of the time, endpoint and clients used {run.load:.0%} of a core\n"
        )
        if added <= LIMIT_MS + FLUSH_MS.get(server.kind, 0.0):
            return True
    return False


async def _rest(server: Server) -> None:
    """Until the server has put everything down."""
    for _ in range(100):
        before = server.cpu_seconds()
        await asyncio.sleep(0.3)
        if server.cpu_seconds() - before < 0.05:
            return


async def listen(options: dict[str, Any], attached: asyncio.Event | None = None) -> dict[str, Any]:
    """Runs clients in a process of their own (`bench.listeners`). Raises `RuntimeError` where an answer is wrong."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.listeners", json.dumps(options), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    if attached is not None and await process.stdout.readline():
        attached.set()
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("a client failed; it says why above")
    result: dict[str, Any] = json.loads(output)
    return result
