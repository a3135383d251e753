"""Run groups of measurements one after another, with the servers that they share."""

import asyncio
import gc
import statistics
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from bench.client import Client, TooSlow
from bench.machine import cpu_seconds
from bench.plan import Plan
from bench.processes import KINDS, Program, Server, endpoint, server
from bench.rows import Group, Noise, Row, Samples, block
from chatkit_server.settings import Settings

SETTLE_SECONDS = 0.2
"""Work after the last byte, such as saving, belongs to an answer."""
SHARED = frozenset({"stock", "stock-uvloop", "ours", "ours-slow-path", "relay"})
"""Servers that run until the end, since many groups use them."""
GROUP_SECONDS = 480.0
"""A group that takes longer is given up."""
TOO_SLOW = "this machine is too slow for it, or too busy"


def progress(line: str) -> None:
    """Write a line to stderr at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass
class Usage:
    """What a server used in a measured time."""

    cpu: float = 0.0
    seconds: float = 0.0


@dataclass
class _Totals:
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class Bench:
    """The servers of a run, and what disturbed its measurements."""

    plan: Plan
    folder: Path
    endpoint: Program
    stack: AsyncExitStack
    """Of the group that runs."""
    next_key: int = 0
    """Of an answer whose end the endpoint tells."""
    _shared: dict[str, Server] = field(default_factory=dict)
    _shared_stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _waited: dict[str, _Totals] = field(default_factory=lambda: defaultdict(_Totals))
    _load: list[tuple[float, float, float]] = field(default_factory=list)

    async def server(self, kind: str) -> Server:
        """Return a running server: a shared one, or one for this group."""
        if kind in self._shared:
            return self._shared[kind]
        if kind not in SHARED:
            return await self.fresh(kind)
        started = await self._shared_stack.enter_async_context(server(kind, self.endpoint.port, self.folder))
        self._shared[kind] = started
        await warm_up(started)
        return started

    def available(self, kinds: Sequence[str]) -> Sequence[str]:
        """Return the kinds of server whose settings this version has."""
        names = {f"CHATKIT_{name.upper()}" for name in Settings.model_fields}
        return [kind for kind in kinds if names.issuperset(KINDS[kind][1])]

    async def servers(self, *kinds: str) -> Mapping[str, Server]:
        """Return running servers by kind."""
        return {kind: await self.server(kind) for kind in kinds}

    async def fresh(self, kind: str, settings: Mapping[str, str] | None = None, *, is_warm: bool = True) -> Server:
        """Start a server that ends with the group."""
        started = await self.stack.enter_async_context(self.starting(kind, settings))
        if is_warm:
            await warm_up(started)
        return started

    @asynccontextmanager
    async def starting(self, kind: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
        """Run a server within the block."""
        async with server(kind, self.endpoint.port, self.folder, settings) as started:
            yield started

    @contextmanager
    def measured(self, *servers: Server) -> Iterator[Usage]:
        """Yield what the servers use together in the block, complete at its end; it also counts towards the noise."""
        usage = Usage()
        before = [(s.cpu_seconds(), s.waited_seconds()) for s in servers]
        load, own, began = self.endpoint.cpu_seconds(), time.process_time(), time.monotonic()
        gc.disable()  # a collection of this process would delay all clients
        try:
            yield usage
        finally:
            gc.enable()
        usage.seconds = time.monotonic() - began
        for one_server, (cpu, waited) in zip(servers, before, strict=True):
            usage.cpu += one_server.cpu_seconds() - cpu
            totals = self._waited[one_server.kind]
            totals.seconds += usage.seconds
            totals.waited += one_server.waited_seconds() - waited
        self._load.append((usage.seconds, self.endpoint.cpu_seconds() - load, time.process_time() - own))

    def alternate(self, names: Sequence[str], rounds: int | None = None) -> Iterator[str]:
        """Yield each name once per round; rotates, so that none is always the first after a pause."""
        rounds = rounds or self.plan.rounds
        for number in range(rounds):
            progress(f"    round {number + 1} of {rounds}")
            start = number % len(names)
            yield from [*names[start:], *names[:start]]

    async def close_shared(self) -> None:
        """End the shared servers; the next group gets new ones."""
        self._shared.clear()
        await self._shared_stack.aclose()

    def take_noise(self) -> Noise | None:
        """Return the noise since the last call."""
        waited = {kind: total.waited / total.seconds for kind, total in self._waited.items() if total.seconds}
        seconds, load, own = (sum(parts) for parts in zip(*self._load, strict=True)) if self._load else (0.0, 0.0, 0.0)
        self._waited.clear()
        self._load.clear()
        return Noise(waited, load / seconds, own / seconds) if seconds else None


async def warm_up(started: Server) -> None:
    """Run some answers: a server's first are slow."""
    user = Client(started.port, "warm-up")
    for tokens in (5, 5, 5, 1000):
        await user.turn(tokens)
    paced = [Client(started.port, f"warm-up-{number}") for number in range(5)]
    await asyncio.gather(*(client.turn(20, 100.0) for client in paced))
    for client in (user, *paced):
        client.close()


async def settle(*programs: Program) -> None:
    """Wait until servers have finished their work, for ten seconds at most."""
    for _ in range(50):
        before = sum(cpu_seconds(program.process) for program in programs)
        await asyncio.sleep(SETTLE_SECONDS)
        if sum(cpu_seconds(program.process) for program in programs) - before < 0.02 * SETTLE_SECONDS * len(programs):
            return


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all are."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def slope(values: Sequence[float]) -> float:
    """Return by how much the values grow from one to the next: the median of all pairs, which single steps do not
    change (Theil and Sen)."""
    pairs = combinations(enumerate(values), 2)
    return statistics.median((second - first) / (j - i) for (i, first), (j, second) in pairs)


def collected(names: Sequence[str]) -> Samples:
    """Return an empty list of samples for each name."""
    return {name: [] for name in names}


Measure = Callable[[Bench], Awaitable[list[Row]]]


@dataclass
class Outcome:
    """The groups that were measured, and why others were not."""

    groups: list[Group] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    slow: dict[str, str] = field(default_factory=dict)
    """Groups for which this machine is too slow, or too busy, which is not an error."""


async def run(
    measures: Mapping[str, Measure],
    plan: Plan,
    folder: Path,
    *,
    outcome: Outcome,
    keep: Callable[[Outcome], None] = lambda outcome: None,
) -> None:
    """Run the groups, add each to `outcome` and print it as it ends. A failure of one does not stop the others.

    `keep` is called after each group.
    """
    async with endpoint(folder) as model:
        bench = Bench(plan, folder, model, AsyncExitStack())
        try:
            for number, (name, measure) in enumerate(measures.items(), 1):
                progress(f"... {name} ({number} of {len(measures)})")
                await _run_group(name, measure, bench, outcome)
                keep(outcome)
        finally:
            await bench.close_shared()


async def _run_group(name: str, measure: Measure, bench: Bench, outcome: Outcome) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(GROUP_SECONDS), AsyncExitStack() as bench.stack:
            rows = await measure(bench)
    except Exception as error:
        if isinstance(error, (TooSlow, TimeoutError)):
            outcome.slow[name] = str(error) or f"it takes longer than {GROUP_SECONDS:.0f} s"
            progress(f"    given up, {TOO_SLOW}: {outcome.slow[name]}\n")
        else:
            outcome.failed[name] = f"{type(error).__name__}: {error}"
            progress(traceback.format_exc())
        bench.take_noise()
        await bench.close_shared()  # they may be in any state
    else:
        group = Group(name, rows, bench.take_noise(), time.monotonic() - began)
        outcome.groups.append(group)
        progress(f"\n{block(group)}\n  ({group.seconds:.0f} s)\n")
